package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// cosignedByTessera lets a Tessera log of its own be cosigned by the witnesses of a policy: entries, a checkpoint, more entries, another
// checkpoint. Tessera publishes nothing that its own witness client has not brought the quorum for.
func cosignedByTessera(policyFile, skey string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	witnesses, err := tessera.NewWitnessGroupFromPolicy(text)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "tessera")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(16, 50*time.Millisecond).
		WithCheckpointInterval(100 * time.Millisecond)
	options.WithWitnesses(witnesses, &tessera.WitnessOptions{Timeout: 10 * time.Second})
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return err
	}
	await := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
	policy, err := torchwood.ParsePolicy(text)
	if err != nil {
		return err
	}
	for round := range 3 {
		for number := range 1 + 100*round {
			future := appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "entry %d of round %d", number, round)))
			if number > 0 && number < 100*round {
				continue
			}
			if _, _, err := await.Await(ctx, future); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		published, err := reader.ReadCheckpoint(ctx)
		if err != nil {
			return err
		}
		checkpoint, _, err := torchwood.VerifyCheckpoint(published, policy)
		if err != nil {
			return err
		}
		fmt.Println(checkpoint.N)
	}
	return shutdown(ctx)
}
