package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Why a link is not followed.
var (
	ErrLinkInvalid = errors.New("this link is not valid")
	ErrLinkExpired = errors.New("this link has expired")
)

// Links makes and checks the signed links of messages, for receivers that can carry nothing but a link. Whoever holds one
// may acknowledge one round of calling of one incident until it expires, and nothing else: no account is needed, for the
// message was sent to the person who is to answer it. Safe for concurrent use.
type Links struct {
	key      []byte
	external string
}

// linkKeyBytes is the length of a signing key.
const linkKeyBytes = 32

// NewLinks makes links with a signing key of 32 random bytes, to where people reach the daemon. Another key makes all
// links out there invalid.
func NewLinks(key []byte, externalURL string) (*Links, error) {
	if len(key) != linkKeyBytes {
		return nil, fmt.Errorf("the key of links has %d bytes; 32 random ones", len(key))
	}
	return &Links{key: append([]byte(nil), key...), external: strings.TrimRight(externalURL, "/")}, nil
}

// Call is what a link acknowledges: the round in which a receiver was told.
type Call struct {
	Incident string // id
	Round    int
	Receiver string
	Expires  time.Time // to the second
}

// Acknowledge gives the link for the page of an incident's round to a receiver.
func (l *Links) Acknowledge(incident string, round int, receiver string, expires time.Time) string {
	return l.external + "/acknowledge/" + l.token(Call{Incident: incident, Round: round, Receiver: receiver, Expires: expires})
}

// linkVersion ends a token. It tells how the rest is to be read, and that it is all there: mail programs leave - and _,
// on which base64url may end, off what they take for a link.
const linkVersion = "1"

// macBytes is the part of the HMAC-SHA256 that a link carries: 128 bits, the half that RFC 2104 allows, for links that
// stay on one line of a mail.
const macBytes = 16

func (l *Links) token(c Call) string {
	body := binary.AppendVarint(nil, c.Expires.Unix())
	body = binary.AppendVarint(body, int64(c.Round))
	body = binary.AppendUvarint(body, uint64(len(c.Incident)))
	body = append(body, c.Incident...)
	body = append(body, c.Receiver...)
	return base64.RawURLEncoding.EncodeToString(append(body, l.sign(body)...)) + linkVersion
}

// sign binds the body to its purpose and version, so that no other use of the key can make a link.
func (l *Links) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte("irdaemon acknowledge " + linkVersion + "\n"))
	mac.Write(body)
	return mac.Sum(nil)[:macBytes]
}

// maxLinkToken is far beyond what a link with the longest names has.
const maxLinkToken = 1024

// Open reads the token of a link. ErrLinkInvalid: it was not made here, or is not whole. ErrLinkExpired: it was, and the
// call that it was for is given beside the error.
func (l *Links) Open(token string, now time.Time) (Call, error) {
	text, versioned := strings.CutSuffix(token, linkVersion)
	if !versioned || len(token) > maxLinkToken {
		return Call{}, ErrLinkInvalid
	}
	all, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(all) < macBytes || strings.ContainsAny(text, "\r\n") {
		return Call{}, ErrLinkInvalid
	}
	body, mac := all[:len(all)-macBytes], all[len(all)-macBytes:]
	if !hmac.Equal(mac, l.sign(body)) {
		return Call{}, ErrLinkInvalid
	}
	call, ok := readCall(body)
	switch {
	case !ok:
		return Call{}, ErrLinkInvalid
	case !now.Before(call.Expires):
		return call, ErrLinkExpired
	}
	return call, nil
}

// readCall reads what token wrote.
func readCall(body []byte) (c Call, ok bool) {
	expires, n := binary.Varint(body)
	if n <= 0 {
		return c, false
	}
	body = body[n:]
	round, n := binary.Varint(body)
	if n <= 0 {
		return c, false
	}
	body = body[n:]
	length, n := binary.Uvarint(body)
	if n <= 0 || length > uint64(len(body)-n) { //nolint:gosec // a length is not below 0
		return c, false
	}
	body = body[n:]
	return Call{
		Incident: string(body[:length]), Round: int(round), Receiver: string(body[length:]), Expires: time.Unix(expires, 0).UTC(),
	}, true
}
