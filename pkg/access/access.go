// Package access tells who calls the daemon and what they may do.
//
// There are three ways to say who one is: an API token (Authorization: Bearer), a user with a password of
// exporter-toolkit's web configuration (Authorization: Basic), and a header in which an authenticating proxy names the
// person. Each is in force only where it is configured. The package guards that no claim is believed without its proof:
// the header only on a connection from a trusted proxy, and never two claims at once, for it could not be told which of
// them the caller meant. With none configured every caller is anonymous and may do everything, which is why such a
// daemon listens on loopback.
//
// Signed links (Links) are the fourth way, for one act on one incident alone.
package access

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// Settings say how callers prove who they are. The zero value asks for no proof.
type Settings struct {
	TokensFile    string // API tokens
	WebConfigFile string // exporter-toolkit's web configuration: TLS, users with passwords, headers
	UserHeader    string // in which a proxy names the person; needs TrustedProxies
	// TrustedProxies are the networks (10.0.0.0/8) from which that header is believed, and X-Forwarded-For too.
	TrustedProxies []string
	Now            func() time.Time // default: time.Now
}

// Identity is who calls. The zero value is nobody, who may do nothing.
type Identity struct {
	Name   string // empty: anonymous
	Via    string // ViaToken, ViaBasic, ViaProxy, ViaLink or ViaAnonymous
	Scopes Scopes
}

// How an identity was proved.
const (
	ViaToken     = "token"
	ViaBasic     = "basic"
	ViaProxy     = "proxy"
	ViaLink      = "link"
	ViaAnonymous = "anonymous" // nothing is configured that could prove one
)

// Why nobody was identified. The errors that Identify gives wrap one of these and say more.
var (
	ErrNoCredentials = errors.New("the request does not say who sends it")
	ErrWrong         = errors.New("the credentials are wrong")
	ErrUntrusted     = errors.New("the connection is not a trusted proxy's")
	ErrAmbiguous     = errors.New("the request says twice who sends it")
)

// Access knows the callers. It is safe for concurrent use, and does not change: a reload makes another one.
type Access struct {
	tokens     map[[32]byte]token
	passwords  *passwords // nil: no users are configured
	web        webConfig
	userHeader string
	proxies    []netip.Prefix
	now        func() time.Time
}

// Load reads the files that the settings name. Its error has a line for each thing that is wrong with them.
func Load(s Settings) (*Access, error) {
	var report document.Report
	a := &Access{userHeader: http.CanonicalHeaderKey(s.UserHeader), now: s.Now}
	if a.now == nil {
		a.now = time.Now
	}
	if s.TokensFile != "" {
		a.tokens = readTokens(s.TokensFile, a.now(), &report)
	}
	if s.WebConfigFile != "" {
		a.web = readWebConfig(s.WebConfigFile, &report)
	}
	if len(a.web.users) > 0 {
		a.passwords = newPasswords(a.web.users)
	}
	proxies, err := trusted(s)
	a.proxies = proxies
	if err := errors.Join(report.Err(document.Error), report.Secrets(), err); err != nil {
		return nil, err
	}
	return a, nil
}

// Check notes everything that is wrong with the two files; an empty name is a file that is not configured.
func Check(tokensFile, webConfigFile string, report *document.Report) {
	if tokensFile != "" {
		readTokens(tokensFile, time.Now(), report)
	}
	if webConfigFile != "" {
		readWebConfig(webConfigFile, report)
	}
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// trusted reads the networks of the proxies.
func trusted(s Settings) ([]netip.Prefix, error) {
	switch {
	case s.UserHeader == "":
	case !headerName.MatchString(s.UserHeader) || strings.EqualFold(s.UserHeader, "Authorization"):
		return nil, fmt.Errorf("user_header %q is not a header that can name a person; one such as X-Forwarded-User", s.UserHeader)
	case len(s.TrustedProxies) == 0:
		return nil, errors.New("user_header without trusted_proxies: anybody could set the header")
	}
	var networks []netip.Prefix
	for _, text := range s.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %q is not a network; networks such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// Configured tells whether callers have to say who they are.
func (a *Access) Configured() bool {
	return a != nil && (a.tokens != nil || a.passwords != nil || a.userHeader != "")
}

// Identify tells who sends a request. Its error wraps ErrNoCredentials, ErrWrong, ErrUntrusted or ErrAmbiguous; its
// text may be told to the caller, and holds nothing of what was sent but a name that was proved.
func (a *Access) Identify(r *http.Request) (Identity, error) {
	if !a.Configured() {
		return Identity{Via: ViaAnonymous, Scopes: Scopes{Admin}}, nil
	}
	named, err := a.fromHeader(r)
	if err != nil {
		return Identity{}, err
	}
	sent := r.Header.Values("Authorization")
	switch {
	case len(sent) > 1:
		return Identity{}, fmt.Errorf("%w: there are %d Authorization headers", ErrAmbiguous, len(sent))
	case len(sent) == 1 && named.Name != "":
		return Identity{}, fmt.Errorf("%w: in Authorization and in %s; where a proxy adds the latter, let it take the former away",
			ErrAmbiguous, a.userHeader)
	case named.Name != "":
		return named, nil
	case len(sent) == 0:
		return Identity{}, ErrNoCredentials
	}
	return a.fromAuthorization(r, sent[0])
}

// fromHeader gives the person whom a proxy names, or nobody. A header from elsewhere is refused, not passed over:
// whoever sends it either tries to be somebody else or has a proxy that the settings do not know, and both want to
// be told.
func (a *Access) fromHeader(r *http.Request) (Identity, error) {
	if a.userHeader == "" {
		return Identity{}, nil
	}
	names := r.Header.Values(a.userHeader)
	if len(names) == 0 || len(names) == 1 && names[0] == "" {
		return Identity{}, nil
	}
	if peer, ok := peerOf(r); !ok || !a.trusts(peer) {
		return Identity{}, fmt.Errorf("%w: it comes from %s, which is not in trusted_proxies, and carries %s", ErrUntrusted, r.RemoteAddr, a.userHeader)
	}
	if len(names) > 1 {
		return Identity{}, fmt.Errorf("%w: there are %d %s headers", ErrAmbiguous, len(names), a.userHeader)
	}
	if !IsName(names[0]) {
		return Identity{}, fmt.Errorf("%w: what %s holds is not a name", ErrWrong, a.userHeader)
	}
	return Identity{Name: names[0], Via: ViaProxy, Scopes: Scopes{Read, Respond, Change}}, nil
}

// fromAuthorization reads the Authorization header.
func (a *Access) fromAuthorization(r *http.Request, sent string) (Identity, error) {
	scheme, rest, _ := strings.Cut(sent, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer") && a.tokens != nil:
		return a.fromToken(strings.TrimSpace(rest))
	case strings.EqualFold(scheme, "Basic") && a.passwords != nil:
		user, password, ok := r.BasicAuth()
		if !ok || !a.passwords.right(user, password) {
			return Identity{}, fmt.Errorf("%w: no such user with this password", ErrWrong)
		}
		return Identity{Name: user, Via: ViaBasic, Scopes: Scopes{Admin}}, nil
	}
	return Identity{}, fmt.Errorf("%w: Authorization has a scheme that is not in use here; %s", ErrWrong, strings.Join(a.Schemes(), " or "))
}

// Schemes are the authentication schemes of HTTP that are in force: Bearer, Basic, both or none.
func (a *Access) Schemes() []string {
	var schemes []string
	if a != nil && a.tokens != nil {
		schemes = append(schemes, "Bearer")
	}
	if a != nil && a.passwords != nil {
		schemes = append(schemes, "Basic")
	}
	return schemes
}

// UserHeader is the header in which a proxy names the person; empty: none.
func (a *Access) UserHeader() string {
	if a == nil {
		return ""
	}
	return a.userHeader
}

// Costly tells whether identifying a request takes the comparison of a password that was not seen to be right before.
// That is slow on purpose, and what a guesser makes us do: whoever has failed often is refused before it.
func (a *Access) Costly(r *http.Request) bool {
	if a == nil || a.passwords == nil {
		return false
	}
	user, password, ok := r.BasicAuth()
	return ok && !a.passwords.known(user, password)
}

// ClientAddress is where a request comes from: the peer of the connection, or what a trusted proxy says about it in
// X-Forwarded-For. Of that list only the end can be believed, up to the first address that is no trusted proxy's.
func (a *Access) ClientAddress(r *http.Request) netip.Addr {
	client, _ := peerOf(r)
	if a == nil || !a.trusts(client) {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusts(client); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = plain(hop)
	}
	return client
}

func (a *Access) trusts(address netip.Addr) bool {
	for _, network := range a.proxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// peerOf is the other end of the connection. Nothing that a request says of itself is taken into account.
func peerOf(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(host)
	return plain(address), err == nil
}

// plain makes one address of the forms that an address can be written in: ::ffff:10.0.0.1 is 10.0.0.1.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// maxName is the most characters of a name.
const maxName = 100

// daemon is the author of what the daemon itself decides.
const daemon = "irdaemon"

// IsName tells whether a text can be the name of somebody: what can be seen, without spaces around it, at most 100
// characters. It goes into the record, messages and terminals.
func IsName(text string) bool {
	if text == "" || strings.TrimSpace(text) != text || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxName {
		return false
	}
	if strings.EqualFold(text, daemon) {
		return false // nobody writes in the daemon's own name
	}
	return strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
