// Conformance reads logs and talks to witnesses with other people's code: the Go project's note and tlog, Torchwood and Tessera.
package main

import (
	"errors"
	"fmt"
	"os"
)

// command is a name, its arguments in words, and what it does.
type command struct {
	arguments string
	count     int
	run       func(args []string) error
}

var commands = map[string]command{
	"audit": {"SOURCE VKEY: re-hash a whole log", 2, func(args []string) error {
		return audit(args[0], args[1], "")
	}},
	"save": {"SOURCE VKEY FOLDER: the same, and keep every file that was read", 3, func(args []string) error {
		return audit(args[0], args[1], args[2])
	}},
	"ledger": {"FOLDER VKEY: re-hash a WORM ledger", 2, func(args []string) error {
		return auditLedger(args[0], args[1])
	}},
	"flips": {"FOLDER VKEY: a saved log, every byte of every file altered in turn", 2, func(args []string) error {
		return flips(args[0], args[1])
	}},
	"cosigned": {"POLICY SOURCE: judge a log's checkpoint by a policy", 2, func(args []string) error {
		return cosigned(args[0], args[1])
	}},
	"key": {"NAME: make the key of a log", 1, func(args []string) error {
		return makeKey(args[0])
	}},
	"table": {"WITNESS VKEY SKEY STRANGER: every line of the witness's table of answers", 4, func(args []string) error {
		return table(args[0], args[1], args[2], args[3])
	}},
	"tessera": {"POLICY SKEY: let a Tessera log be cosigned", 2, func(args []string) error {
		return cosignedByTessera(args[0], args[1])
	}},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		if command, ok := commands[args[0]]; ok && len(args) == command.count+1 {
			return command.run(args[1:])
		}
	}
	usage := "SOURCE is the URL of a log or the folder of a saved one. Commands:"
	for name, command := range commands {
		usage += "\n  " + name + " " + command.arguments
	}
	return errors.New(usage)
}
