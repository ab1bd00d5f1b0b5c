package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// passwords compares what users send with the bcrypt hashes of the web configuration. A comparison takes a tenth of a
// second on purpose, so a password that was right once is remembered, as a keyed hash: a scrape every 15 seconds must
// not cost that much each time. What was wrong is not remembered, so that the memory is bounded by the number of users.
type passwords struct {
	hashes map[string]string // by user
	decoy  string            // compared with where there is no such user, so that the time does not tell which users there are

	key   [32]byte // of this process
	mutex sync.Mutex
	seen  map[string][sha256.Size]byte // by user

	comparing sync.Mutex // one comparison at a time: guessers may keep one core busy, not all
}

func newPasswords(hashes map[string]string) *passwords {
	p := &passwords{hashes: hashes, seen: map[string][sha256.Size]byte{}}
	_, _ = rand.Read(p.key[:]) // never fails
	cost := bcrypt.MinCost
	for _, hash := range hashes {
		if c, err := bcrypt.Cost([]byte(hash)); err == nil {
			cost = max(cost, c)
		}
	}
	if decoy, err := bcrypt.GenerateFromPassword(p.key[:], cost); err == nil {
		p.decoy = string(decoy)
	}
	return p
}

// right tells whether the user has this password.
func (p *passwords) right(user, password string) bool {
	if p.known(user, password) {
		return true
	}
	hash, there := p.hashes[user]
	if !there {
		hash = p.decoy
	}
	p.comparing.Lock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	p.comparing.Unlock()
	if !there || err != nil {
		return false
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.seen[user] = p.sum(user, password)
	return true
}

// known tells whether this password of the user was right before.
func (p *passwords) known(user, password string) bool {
	p.mutex.Lock()
	seen, ok := p.seen[user]
	p.mutex.Unlock()
	sum := p.sum(user, password)
	return ok && hmac.Equal(seen[:], sum[:])
}

func (p *passwords) sum(user, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(user))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	mac.Sum(sum[:0])
	return sum
}
