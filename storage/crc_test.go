package storage

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func TestCRCCombine(t *testing.T) {
	if got := crcShift(blockSize); got != crcBlockShift {
		t.Fatalf("crcShift(blockSize) = %#x, crcBlockShift = %#x", got, uint32(crcBlockShift))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		data := make([]byte, rng.IntN(300_000))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		cut := 0
		if len(data) > 0 {
			cut = rng.IntN(len(data))
		}
		a, b := crc32.Checksum(data[:cut], castagnoli), crc32.Checksum(data[cut:], castagnoli)
		if got, want := crcCombine(a, b, int64(len(data)-cut)), crc32.Checksum(data, castagnoli); got != want {
			t.Fatalf("combine at %d of %d: %#x, want %#x", cut, len(data), got, want)
		}
		if _, got := blockSums(nil, data); got != crc32.Checksum(data, castagnoli) {
			t.Fatalf("blockSums of %d bytes: %#x", len(data), got)
		}
	}
}
