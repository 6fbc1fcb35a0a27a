package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
)

// flips alters every byte of every file of a saved log, one at a time: no such log may pass.
func flips(folder, vkey string) error {
	saved, err := load(folder)
	if err != nil {
		return err
	}
	read := func(path string) ([]byte, error) {
		body, ok := saved[path]
		if !ok {
			return nil, os.ErrNotExist
		}
		return body, nil
	}
	if _, err := auditFiles(read, vkey); err != nil {
		return fmt.Errorf("the log does not even hold as it is: %w", err)
	}
	altered := 0
	for name, body := range saved {
		held := saved[name]
		for at := range body {
			if name == "checkpoint" && !judgedByNote(body, at) {
				continue
			}
			saved[name] = slices.Clone(body)
			saved[name][at] ^= 1
			if name == "checkpoint" && at == len(body)-3 {
				// The last digit of base64 before its padding: the low two of its bits mean nothing.
				saved[name][at] ^= 1 ^ 4
			}
			if tree, err := auditFiles(read, vkey); err == nil {
				return fmt.Errorf("%s: byte %d altered, and the log of %d still holds", name, at, tree.N)
			}
			altered++
		}
		saved[name] = held
	}
	fmt.Println(altered)
	return nil
}

// judgedByNote is false within the signature lines above the last, which are not by the key that is known here: they are ignored.
func judgedByNote(checkpoint []byte, at int) bool {
	text := bytes.LastIndex(checkpoint, []byte("\n\n")) + 2
	last := bytes.LastIndexByte(checkpoint[:len(checkpoint)-1], '\n') + 1
	return at < text || at >= last
}
