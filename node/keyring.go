package node

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"

	"torc/internal/errs"
)

// keyLen is the length of the keyring's symmetric keys, in bytes (AES-256).
const keyLen = 32

// Keyring holds a cluster's secrets: one file, the same on every server, mode
// 0600, made by cluster creation. Nothing in it has a default.
type Keyring struct {
	Cluster string `json:"cluster"`
	// Gossip encrypts liveness messages; Seal encrypts secrets stored in the
	// database under the id SealID. Base64, 32 bytes each.
	Gossip string `json:"gossip"`
	SealID string `json:"seal_id"`
	Seal   string `json:"seal"`
	// Root is the first account's access key.
	RootAccessKey string `json:"root_access_key"`
	RootSecretKey string `json:"root_secret_key"`
	// AdminPassword opens the portal as user admin.
	AdminPassword string `json:"admin_password"`
}

// NewKeyring generates a keyring from the system's random source.
func NewKeyring(cluster string) Keyring {
	return Keyring{
		Cluster:       cluster,
		Gossip:        base64.StdEncoding.EncodeToString(randomBytes(keyLen)),
		SealID:        "1",
		Seal:          base64.StdEncoding.EncodeToString(randomBytes(keyLen)),
		RootAccessKey: "AKIA" + base32.StdEncoding.EncodeToString(randomBytes(10)),
		RootSecretKey: base64.RawURLEncoding.EncodeToString(randomBytes(30)),
		AdminPassword: base64.RawURLEncoding.EncodeToString(randomBytes(15)),
	}
}

// LoadKeyring reads a keyring and checks that it is whole, belongs to cluster
// and that nobody but its owner can read it.
func LoadKeyring(file, cluster string) (Keyring, error) {
	const op = "keyring"
	var k Keyring
	st, err := os.Stat(file)
	if err != nil {
		return k, errs.E(op, errs.KindOf(err), "%w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return k, errs.E(op, errs.Permission, "%s: mode %v lets others read it; chmod 600", file, st.Mode().Perm())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return k, errs.E(op, errs.KindOf(err), "%w", err)
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return k, errs.E(op, errs.Invalid, "%s is not a keyring", file)
	}
	if k.Cluster != cluster {
		return k, errs.E(op, errs.Invalid, "%s belongs to cluster %q, not %q", file, k.Cluster, cluster)
	}
	if len(k.key(k.Gossip)) != keyLen || len(k.key(k.Seal)) != keyLen || k.SealID == "" || k.RootAccessKey == "" || k.RootSecretKey == "" || k.AdminPassword == "" {
		return k, errs.E(op, errs.Invalid, "%s is incomplete", file)
	}
	return k, nil
}

// Save writes the keyring, readable by its owner only.
func (k Keyring) Save(file string) error {
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return errs.Wrap("keyring", err)
	}
	return writeFileSync(file, append(data, '\n'), 0o600)
}

// GossipKey and SealKey return the raw keys.
func (k Keyring) GossipKey() []byte { return k.key(k.Gossip) }

// SealKey returns the key that seals secrets in the database.
func (k Keyring) SealKey() []byte { return k.key(k.Seal) }

func (Keyring) key(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}

// writeFileSync creates or replaces file atomically and durably.
func writeFileSync(file string, data []byte, mode os.FileMode) error {
	const op = "write file"
	tmp := file + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return errs.E(op, errs.KindOf(err), "%w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		return errs.E(op, errs.KindOf(err), "%w", err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return errs.E(op, errs.KindOf(err), "%w", err)
	}
	defer dir.Close()
	return errs.Wrap(op, dir.Sync())
}
