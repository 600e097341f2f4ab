package memory

import (
	"testing"

	"gomaild/storage"
	"gomaild/storage/storagetest"
)

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return &Store{} })
}
