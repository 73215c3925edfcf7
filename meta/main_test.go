package meta

import (
	"testing"

	"go.uber.org/goleak"
)

// No test leaves a goroutine behind: Close waits for all of a store's.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
