package buf

import "testing"

func TestSizesAndLeakCounter(t *testing.T) {
	before := InUse()
	for _, n := range []int{0, 1, MinSize, MinSize + 1, 1 << 20, MaxSize, MaxSize + 1} {
		b := Get(n)
		if len(b.B) != n {
			t.Errorf("Get(%d): length %d", n, len(b.B))
		}
		if n <= MaxSize && n > MinSize && cap(b.full) >= 2*n {
			t.Errorf("Get(%d): capacity %d wastes over half", n, cap(b.full))
		}
		if InUse() != before+1 {
			t.Errorf("Get(%d): in use %d, want %d", n, InUse(), before+1)
		}
		b.Release()
	}
	if InUse() != before {
		t.Fatalf("leak: %d buffers", InUse()-before)
	}
}

func TestDoubleReleasePanics(t *testing.T) {
	b := Get(10)
	b.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("second Release did not panic")
		}
	}()
	b.Release()
}
