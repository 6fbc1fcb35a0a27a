package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// files gives the files of a log by their C2SP path.
type files func(path string) ([]byte, error)

// maxFile is far beyond the largest file of a log whose entries have 80 bytes.
const maxFile = 1 << 20

func filesOf(source string) files {
	if !strings.HasPrefix(source, "http://") {
		return func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(source, path)) }
	}
	client := &http.Client{Timeout: 30 * time.Second}
	return func(path string) ([]byte, error) {
		answer, err := client.Get(source + "/" + path)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxFile))
		if err != nil {
			return nil, err
		}
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d: %s", path, answer.StatusCode, body)
		}
		return body, checkHeaders(path, answer.Header)
	}
}

// checkHeaders holds an answer to what tlog-tiles says of types and caches.
func checkHeaders(path string, header http.Header) error {
	kind, immutable := "application/octet-stream", !strings.Contains(path, ".p/")
	if path == "checkpoint" {
		kind, immutable = "text/plain; charset=utf-8", false
	}
	if got := header.Get("Content-Type"); got != kind {
		return fmt.Errorf("%s: content type %q", path, got)
	}
	if got := header.Get("Cache-Control"); strings.Contains(got, "immutable") != immutable {
		return fmt.Errorf("%s: cache control %q", path, got)
	}
	return nil
}

// saving keeps what is read in a folder.
func saving(inner files, folder string) files {
	return func(path string) ([]byte, error) {
		body, err := inner(path)
		if err != nil {
			return nil, err
		}
		target := filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return nil, err
		}
		return body, os.WriteFile(target, body, 0o644)
	}
}

// load reads a saved log into memory.
func load(folder string) (map[string][]byte, error) {
	saved := make(map[string][]byte)
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		saved[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	return saved, err
}
