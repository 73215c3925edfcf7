package object

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
)

// entry is one line of a listing: a key or a common prefix.
type entry struct {
	name   string
	prefix bool
}

// dumbList is the model: look at every key.
func dumbList(keys []string, prefix, delimiter, after string, limit int) (page []entry, more bool) {
	seen := map[string]bool{}
	for _, k := range keys { // sorted
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		e := entry{name: k}
		if delimiter != "" {
			if i := strings.Index(k[len(prefix):], delimiter); i >= 0 {
				e = entry{k[:len(prefix)+i+len(delimiter)], true}
			}
		}
		if e.name <= after || seen[e.name] && e.prefix {
			continue
		}
		seen[e.name] = true
		if len(page) == limit {
			return page, limit > 0
		}
		page = append(page, e)
	}
	return page, false
}

func merged(p ListPage) []entry {
	var all []entry
	for _, o := range p.Objects {
		all = append(all, entry{name: o.Key})
	}
	for _, s := range p.Prefixes {
		all = append(all, entry{s, true})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// randomKeys makes keys from few letters, so that prefixes, delimiters and
// multi-byte characters meet in all ways.
func randomKeys(rng *rand.Rand, n int) []string {
	alphabet := []string{"a", "b", "/", "//", "é", "\U0010ffff", "\x00", "\x01", "z"}
	set := map[string]bool{}
	for len(set) < n {
		var k strings.Builder
		for range 1 + rng.IntN(6) {
			k.WriteString(alphabet[rng.IntN(len(alphabet))])
		}
		set[k.String()] = true
	}
	keys := make([]string, 0, n)
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func some(rng *rand.Rand, keys []string) string {
	switch k := keys[rng.IntN(len(keys))]; rng.IntN(4) {
	case 0:
		return ""
	case 1:
		return k
	case 2:
		return k[:rng.IntN(len(k)+1)]
	default:
		return k + "/"
	}
}

// TestListModel compares pages, and walks of pages, with the model.
func TestListModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, db := range []string{"one range", "many ranges"} {
		t.Run(db, func(t *testing.T) {
			r := newRig(t)
			b := r.bucket("b")
			r.bucket("a")
			r.bucket("c")
			keys := randomKeys(rng, 150)
			for _, k := range keys {
				r.put("b", k, nil)
			}
			for _, other := range []BucketName{"a", "c"} { // neighbours must not show
				r.put(other, "zzz", nil)
				r.put(other, "\x00", nil)
			}
			if db == "many ranges" {
				for i := 0; i < len(keys); i += 7 {
					r.ranges.split(objectKey(b.ID, keys[i]))
				}
			}
			for range 1500 {
				q := ListRequest{Bucket: "b", Prefix: some(rng, keys), After: some(rng, keys), Limit: rng.IntN(12),
					Delimiter: []string{"", "/", "//", "é", "a", "\x00", "ab", "none"}[rng.IntN(8)]}
				page, err := r.svc.List(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				want, more := dumbList(keys, q.Prefix, q.Delimiter, q.After, q.Limit)
				if got := merged(page); fmt.Sprint(got) != fmt.Sprint(want) || page.Truncated != more {
					t.Fatalf("%+v:\n got %v %v\nwant %v %v", q, got, page.Truncated, want, more)
				}
				if more && page.Next != want[len(want)-1].name || !more && page.Next != "" {
					t.Fatalf("%+v: next %q", q, page.Next)
				}
			}
		})
	}
}
