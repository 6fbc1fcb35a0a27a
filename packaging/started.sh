# For the scripts beside it: starts a node, asks it for its health, stops it, and expects exit code 0.
# started NAME COMMAND… ; the command must not fork and must listen on a free port. Takes at most 30 s to say where.

started() {
    local name=$1 url="" pid inner child said
    shift
    said=$(mktemp)
    "$@" >"$said" 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        url=$(sed -n 's/^ *node *\(http[^ ]*\).*/\1/p' "$said")
        if [ -n "$url" ]; then break; fi
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    if [ -z "$url" ]; then
        echo "$name did not start:"; cat "$said"; rm -f "$said"
        kill "$pid" 2>/dev/null || true
        return 1
    fi
    curl -fsS --noproxy '*' --max-time 10 "$url/healthz" >/dev/null || { echo "$name is not well"; kill "$pid"; return 1; }
    # What was started may be programs around the node: the signal goes to the innermost.
    inner=$pid
    while child=$(ps -o pid= --ppid "$inner") && [ -n "$child" ]; do inner=$((child)); done
    kill -TERM "$inner"
    wait "$pid" || { echo "$name ended with $?:"; cat "$said"; rm -f "$said"; return 1; }
    rm -f "$said"
    echo "   $name: started, well, stopped"
}
