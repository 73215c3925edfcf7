package errs

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestKindSurvivesWrapping(t *testing.T) {
	base := E("storage.Get", NotFound, "no chunk %q", "A")
	wrapped := fmt.Errorf("read stripe: %w", Wrap("protect.Get", base))
	if !errors.Is(wrapped, NotFound) || KindOf(wrapped) != NotFound {
		t.Fatalf("kind lost: %v", wrapped)
	}
	if errors.Is(wrapped, Corrupt) {
		t.Fatal("matches a kind it does not have")
	}
	if got, want := wrapped.Error(), `read stripe: protect.Get: storage.Get: no chunk "A"`; got != want {
		t.Fatalf("got %q want %q", got, want)
	}
}

func TestCauseReachableThroughFormat(t *testing.T) {
	cause := errors.New("EIO")
	err := E("disk.Sync", Unavailable, "container %d: %w", 7, cause)
	if !errors.Is(err, cause) || !errors.Is(err, Unavailable) {
		t.Fatalf("cause or kind lost: %v", err)
	}
}

func TestKindOfForeignErrors(t *testing.T) {
	for err, want := range map[error]Kind{
		context.DeadlineExceeded: Timeout,
		context.Canceled:         Canceled,
		errors.New("x"):          Other,
		Kind(Full):               Full,
	} {
		if got := KindOf(err); got != want {
			t.Errorf("KindOf(%v) = %v, want %v", err, got, want)
		}
	}
	if Wrap("op", nil) != nil {
		t.Error("Wrap(nil) is not nil")
	}
}

func TestEveryKindHasWords(t *testing.T) {
	seen := map[string]bool{}
	for k := Kind(0); k < kindEnd; k++ {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d: %q empty or repeated", k, k)
		}
		seen[k.String()] = true
	}
}
