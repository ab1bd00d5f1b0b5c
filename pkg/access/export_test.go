package access

// TokensOf gives who holds each token, by hash.
func TokensOf(a *Access) map[[32]byte]Identity {
	all := map[[32]byte]Identity{}
	for hash, t := range a.tokens {
		all[hash] = Identity{Name: t.name, Via: ViaToken, Scopes: t.scopes}
	}
	return all
}

// Token gives the bare token of a call.
func (l *Links) Token(c Call) string { return l.token(c) }

// LoseHashes leaves nothing to compare passwords with but what is remembered.
func LoseHashes(a *Access) { a.passwords.hashes = nil }
