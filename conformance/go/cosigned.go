package main

import (
	"fmt"
	"os"

	"filippo.io/torchwood"
)

// cosigned judges a checkpoint by a policy, with Torchwood's reading of both.
func cosigned(policyFile, source string) error {
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	policy, err := torchwood.ParsePolicy(text)
	if err != nil {
		return err
	}
	signed, err := filesOf(source)("checkpoint")
	if err != nil {
		return err
	}
	checkpoint, opened, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return fmt.Errorf("%w in\n%s", err, signed)
	}
	fmt.Printf("%d %s %d\n", checkpoint.N, checkpoint.Hash, len(opened.Sigs))
	return nil
}
