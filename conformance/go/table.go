package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"crypto/sha256"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// growing is a log in memory, of entries that are their own numbers.
type growing struct {
	signer note.Signer
	hashes []tlog.Hash
}

func (log *growing) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for place, index := range indexes {
		found[place] = log.hashes[index]
	}
	return found, nil
}

func newGrowing(signer note.Signer, size int64) (*growing, error) {
	log := &growing{signer: signer}
	for number := range size {
		more, err := tlog.StoredHashes(number, fmt.Appendf(nil, "%d", number), log)
		if err != nil {
			return nil, err
		}
		log.hashes = append(log.hashes, more...)
	}
	return log, nil
}

// text is the checkpoint of a size; another is one of the same size with another root.
func (log *growing) text(size int64, another bool) (string, error) {
	root, err := tlog.TreeHash(size, log)
	if another {
		root[0] ^= 1
	}
	return torchwood.Checkpoint{Origin: log.signer.Name(), Tree: tlog.Tree{N: size, Hash: root}}.String(), err
}

func (log *growing) signed(size int64, another bool) (string, error) {
	text, err := log.text(size, another)
	if err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: text}, log.signer)
	return string(signed), err
}

func (log *growing) proof(from, to int64) ([]string, error) {
	if from == 0 || from == to {
		return nil, nil
	}
	path, err := tlog.ProveTree(to, from, log)
	lines := make([]string, len(path))
	for place, hash := range path {
		lines[place] = hash.String()
	}
	return lines, err
}

// row is one request and what the specification wants for an answer.
type row struct {
	name   string
	old    int64
	size   int64
	proof  []string
	alter  func(checkpoint string) string
	status int
	body   string
}

// table sends a witness one request for each line of the table in C2SP tlog-witness, and holds every cosignature to Torchwood's verifier.
func table(url, witnessKey, skey, strangerKey string) error {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	stranger, err := note.NewSigner(strangerKey)
	if err != nil {
		return err
	}
	log, err := newGrowing(signer, 300)
	if err != nil {
		return err
	}
	rows, err := log.rows(stranger)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := log.check(url, witnessKey, row); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	fmt.Println(len(rows))
	return log.monitored(url)
}

func (log *growing) rows(stranger note.Signer) ([]row, error) {
	small, err := log.proof(5, 300)
	if err != nil {
		return nil, err
	}
	bent := append([]string{small[1]}, small[1:]...)
	signed := func(size int64, another bool) func(string) string {
		return func(string) string {
			checkpoint, err := log.signed(size, another)
			if err != nil {
				return err.Error()
			}
			return checkpoint
		}
	}
	byStranger := func(checkpoint string) string {
		text, _, _ := strings.Cut(checkpoint, "\n\n")
		other, err := note.Sign(&note.Note{Text: text + "\n"}, stranger)
		if err != nil {
			return err.Error()
		}
		return string(other)
	}
	replaced := func(old, by string) func(string) string {
		return func(checkpoint string) string { return strings.Replace(checkpoint, old, by, 1) }
	}
	many := make([]string, 64)
	for place := range many {
		many[place] = small[0]
	}
	return []row{
		{name: "an unknown log", size: 5, alter: replaced(log.signer.Name()+"\n5", "unknown.example\n5"), status: 404},
		{name: "a key that the log does not have", size: 5, alter: byStranger, status: 403},
		{name: "a bad signature by the log's key", size: 5, alter: badSignature, status: 403},
		{name: "a signature over another text", size: 5, alter: replaced("\n5\n", "\n6\n"), status: 403},
		{name: "an old size above the checkpoint's", old: 6, size: 5, status: 400},
		{name: "an old size that it has not cosigned", old: 3, size: 5, status: 409, body: "0\n"},
		{name: "nothing, with a root that is not nothing's", size: 0, alter: signed(0, true), status: 422},
		{name: "nothing", size: 0, status: 200},
		{name: "a proof from nothing", size: 5, proof: small[:1], status: 422},
		{name: "a first tree", size: 5, status: 200},
		{name: "the same again", old: 5, size: 5, status: 200},
		{name: "the same size, another root", old: 5, size: 5, alter: signed(5, true), status: 422},
		{name: "a size that it has gone beyond", size: 300, status: 409, body: "5\n"},
		{name: "no proof", old: 5, size: 300, status: 422},
		{name: "a proof of another tree", old: 5, size: 300, proof: bent, status: 422},
		{name: "a proof with too few hashes", old: 5, size: 300, proof: small[1:], status: 422},
		{name: "a proof with too many hashes", old: 5, size: 300, proof: append(small[:len(small):len(small)], small[0]), status: 422},
		{name: "more than 63 hashes", old: 5, size: 300, proof: many, status: 400},
		{name: "no hash where one should be", old: 5, size: 300, proof: []string{"not base64"}, status: 400},
		{name: "a larger tree", old: 5, size: 300, proof: small, status: 200},
		{name: "a smaller tree", old: 5, size: 6, status: 409, body: "300\n"},
		{name: "a size with a sign", size: -1, alter: func(string) string { return "old +300\n\nx" }, status: 400},
		{name: "no blank line", size: -1, alter: func(string) string { return "old 300\n" }, status: 400},
		{name: "nothing at all", size: -1, alter: func(string) string { return "" }, status: 400},
		{name: "no note", size: -1, alter: func(string) string { return "old 300\n\nx\n" }, status: 400},
	}, nil
}

// badSignature alters the last signature of a note, not its key.
func badSignature(checkpoint string) string {
	line := strings.LastIndexByte(strings.TrimSuffix(checkpoint, "\n"), ' ') + 1
	blob, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(checkpoint[line:], "\n"))
	if err != nil {
		return err.Error()
	}
	blob[len(blob)-1] ^= 1
	return checkpoint[:line] + base64.StdEncoding.EncodeToString(blob) + "\n"
}

func (log *growing) check(url, witnessKey string, row row) error {
	body := ""
	if row.size < 0 {
		body = row.alter("")
	} else {
		checkpoint, err := log.signed(row.size, false)
		if err != nil {
			return err
		}
		if row.alter != nil {
			checkpoint = row.alter(checkpoint)
		}
		body = fmt.Sprintf("old %d\n", row.old)
		for _, hash := range row.proof {
			body += hash + "\n"
		}
		body += "\n" + checkpoint
	}
	answer, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != row.status {
		return fmt.Errorf("status %d, not %d: %s", answer.StatusCode, row.status, got)
	}
	if row.status == http.StatusConflict {
		if kind := answer.Header.Get("Content-Type"); kind != "text/x.tlog.size" || string(got) != row.body {
			return fmt.Errorf("%s %q, not %q", kind, got, row.body)
		}
	}
	if row.status == http.StatusOK {
		return log.verify(row.size, witnessKey, string(got))
	}
	return nil
}

// verify checks the lines of an answer, and that their time is now.
func (log *growing) verify(size int64, witnessKey, lines string) error {
	verifier, err := torchwood.NewCosignatureVerifier(witnessKey)
	if err != nil {
		return err
	}
	text, err := log.text(size, false)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(text+"\n"+lines), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	at, err := torchwood.CosignatureTimestamp(opened.Sigs[0])
	if err != nil {
		return err
	}
	if age := time.Since(time.Unix(at, 0)); age < -time.Second || age > time.Minute {
		return fmt.Errorf("cosigned %v ago", age)
	}
	return nil
}

// monitored looks for the newest checkpoint where monitors do, and for the one of a log that nobody has.
func (log *growing) monitored(url string) error {
	for origin, status := range map[string]int{log.signer.Name(): 200, "unknown.example": 404} {
		answer, err := http.Get(fmt.Sprintf("%s/%x/checkpoint", url, sha256.Sum256([]byte(origin))))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode != status {
			return fmt.Errorf("monitoring %s: status %d", origin, answer.StatusCode)
		}
		if want := origin + "\n300\n"; status == 200 && !strings.HasPrefix(string(body), want) {
			return fmt.Errorf("monitoring %s: %q", origin, body)
		}
	}
	return nil
}
