package identity

import (
	"sync"
	"time"
)

// cache remembers answers for CacheAge, at most a fixed number of them.
type cache struct {
	mu  sync.Mutex
	max int
	m   map[string]cached
}

type cached struct {
	cred Credential
	at   time.Time
}

func newCache(max int) *cache { return &cache{max: max, m: map[string]cached{}} }

func (c *cache) get(id string, now time.Time) (Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[id]
	// A clock that went backwards makes an entry too young: not to be believed.
	if age := now.Sub(e.at); !ok || age < 0 || age >= CacheAge {
		return Credential{}, false
	}
	return e.cred, true
}

func (c *cache) put(id string, cred Credential, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[id]; !ok && len(c.m) >= c.max {
		for old := range c.m { // any one: entries live a second
			delete(c.m, old)
			break
		}
	}
	c.m[id] = cached{cred, at}
}

func (c *cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, id)
}
