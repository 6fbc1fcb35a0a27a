package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is that of C2SP tlog-tiles; their paths leave it out.
const tileHeight = 8

// An enclave's entries have 80 bytes, a heads log's 72.
const (
	enclaveEntryLen = 80
	headsEntryLen   = 72
)

func audit(source, vkey, save string) error {
	read := filesOf(source)
	if save != "" {
		read = saving(read, save)
	}
	tree, err := auditFiles(read, vkey)
	if err != nil {
		return err
	}
	fmt.Printf("%d %s\n", tree.N, tree.Hash)
	return nil
}

// auditLedger is audit for a folder whose entries are texts of the ledger.
func auditLedger(folder, vkey string) error {
	tree, err := auditEntries(filesOf(folder), vkey, checkLedgerEntry)
	if err != nil {
		return err
	}
	fmt.Printf("%d %s\n", tree.N, tree.Hash)
	return nil
}

// checkLedgerEntry checks that an entry is a ledger's and says its own place.
func checkLedgerEntry(index int64, entry []byte) error {
	if !bytes.HasPrefix(entry, fmt.Appendf(nil, "worm-entry v1\nindex: %d\ntime: ", index)) {
		return errors.New("not a ledger's, or of another place")
	}
	return nil
}

// auditFiles checks an enclave's log or a heads log.
func auditFiles(read files, vkey string) (tlog.Tree, error) {
	nextSeq := uint64(0)
	return auditEntries(read, vkey, func(_ int64, entry []byte) (err error) {
		nextSeq, err = checkEntry(entry, nextSeq, strings.HasPrefix(vkey, "enc/"))
		return err
	})
}

// entryCheck judges an entry in its place; entries come in order.
type entryCheck func(index int64, entry []byte) error

// auditEntries checks a log from its checkpoint down: signature, every entry hashed again, the root over them, and that every hash tile
// states the hashes that follow from the entries.
func auditEntries(read files, vkey string, check entryCheck) (tlog.Tree, error) {
	tree, err := openCheckpoint(read, vkey)
	if err != nil {
		return tree, err
	}
	hashes, err := rehash(read, tree.N, check)
	if err != nil {
		return tree, err
	}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for place, index := range indexes {
			if index >= int64(len(hashes)) {
				return nil, errors.New("a hash beyond the log")
			}
			found[place] = hashes[index]
		}
		return found, nil
	})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return tree, err
	}
	if root != tree.Hash {
		return tree, errors.New("the entries do not have the root of the checkpoint")
	}
	return tree, checkTiles(read, tree, reader)
}

func openCheckpoint(read files, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := read("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("no checkpoint of this log: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// rehash reads every entry and gives the hashes of all complete subtrees, by tlog's storage index.
func rehash(read files, size int64, check entryCheck) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	stored := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for place, index := range indexes {
			found[place] = hashes[index]
		}
		return found, nil
	})
	for first := int64(0); first < size; first += 1 << tileHeight {
		width := min(size-first, 1<<tileHeight)
		bundle, err := read(tilePath(tlog.Tile{H: tileHeight, L: -1, N: first >> tileHeight, W: int(width)}))
		if err != nil {
			return nil, err
		}
		entries, err := splitBundle(bundle, int(width))
		if err != nil {
			return nil, err
		}
		for place, entry := range entries {
			if err := check(first+int64(place), entry); err != nil {
				return nil, fmt.Errorf("entry %d: %w", first+int64(place), err)
			}
			more, err := tlog.StoredHashes(first+int64(place), entry, stored)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
		}
	}
	return hashes, nil
}

// checkEntry checks an entry's length, and that an enclave's bundles follow each other without a gap.
func checkEntry(entry []byte, nextSeq uint64, enclave bool) (uint64, error) {
	if !enclave {
		if len(entry) != headsEntryLen {
			return 0, fmt.Errorf("%d bytes", len(entry))
		}
		return 0, nil
	}
	if len(entry) != enclaveEntryLen {
		return 0, fmt.Errorf("%d bytes", len(entry))
	}
	first, count := binary.BigEndian.Uint64(entry[64:]), binary.BigEndian.Uint64(entry[72:])
	if first != nextSeq || count < 1 || count > 4096 {
		return 0, fmt.Errorf("events %d, %d of them, after %d", first, count, nextSeq)
	}
	return first + count, nil
}

func splitBundle(bundle []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, width)
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return nil, errors.New("an entry bundle ends inside an entry")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:end])
		bundle = bundle[end:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("an entry bundle of %d for %d", len(entries), width)
	}
	return entries, nil
}

// checkTiles reads every hash tile of the tree twice: compared with the hashes of the entries, and through tlog's own reader, which
// proves what it takes from tiles against the root.
func checkTiles(read files, tree tlog.Tree, hashes tlog.HashReader) error {
	for _, tile := range tlog.NewTiles(tileHeight, 0, tree.N) {
		served, err := read(tilePath(tile))
		if err != nil {
			return err
		}
		expected, err := tlog.ReadTileData(tile, hashes)
		if err != nil {
			return err
		}
		if !bytes.Equal(served, expected) {
			return fmt.Errorf("%s holds other hashes than the entries have", tilePath(tile))
		}
	}
	if tree.N == 0 {
		return nil
	}
	proven := tlog.TileHashReader(tree, tileReader{read})
	for _, leaf := range []int64{0, tree.N / 2, tree.N - 1} {
		index := []int64{tlog.StoredHashIndex(0, leaf)}
		byTile, err := proven.ReadHashes(index)
		if err != nil {
			return err
		}
		byEntry, err := hashes.ReadHashes(index)
		if err != nil {
			return err
		}
		if byTile[0] != byEntry[0] {
			return fmt.Errorf("leaf %d", leaf)
		}
	}
	return nil
}

// tileReader gives tiles to tlog.
type tileReader struct{ read files }

func (tileReader) Height() int { return tileHeight }

func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (reader tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	bodies := make([][]byte, len(tiles))
	for place, tile := range tiles {
		var err error
		if bodies[place], err = reader.read(tilePath(tile)); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// tilePath is the C2SP path of a tile.
func tilePath(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + path
}
