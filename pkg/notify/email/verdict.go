package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

// closing is the code after which a server hangs up.
const closing = 421

// words are ours for a server's codes. Its own are never told: servers quote addresses, hosts and what they were sent.
var words = map[int]string{
	421: "the server closes the connection for now",
	432: "the password must be changed",
	450: "mailbox not available for now",
	451: "the server has a trouble of its own",
	452: "too little space, or too many recipients",
	454: "not possible for now",
	455: "parameters not accepted for now",
	500: "the command is not known",
	501: "the command's argument is not accepted",
	502: "the command is not there",
	503: "the command is not expected here",
	504: "the parameter is not there",
	521: "the host takes no mail",
	523: "the mail is too large",
	525: "the account is disabled",
	530: "it asks for a login, or for encryption, first",
	534: "the way to log in is too weak",
	535: "the login is refused",
	538: "the login needs encryption",
	541: "the mail is rejected",
	550: "no such mailbox, or not allowed",
	551: "the recipient is not here",
	552: "the mail is too large, or the mailbox full",
	553: "the address is not allowed",
	554: "refused",
	555: "parameters not accepted",
	556: "the recipient's domain takes no mail",
}

// What an answer's code means. A code that fits nowhere is the mistake of a server that may be repaired.
const (
	refused = notify.Refused
	retry   = notify.Retry
)

func outcome(code int) notify.Outcome {
	if code/100 == 5 {
		return refused
	}
	return retry
}

// judge says what the end of a conversation means for the delivery.
func judge(ctx context.Context, err error) notify.Result {
	where := ""
	var stage *stageError
	if errors.As(err, &stage) {
		where = ", at " + stage.stage
	}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return notify.Result{Outcome: outcome(answer.Code), Detail: reply(answer) + where}
	}
	detail := inWords(ctx, err) + where
	if stage != nil && stage.stage == stageMail {
		detail += ": it may have been taken"
	}
	return notify.Result{Outcome: retry, Detail: detail}
}

// someRefused names how many recipients don't get a mail that others do, and why.
func someRefused(refusals []*textproto.Error, recipients int) string {
	if len(refusals) == 0 {
		return ""
	}
	var reasons []string
	for _, refusal := range refusals {
		if said := reply(refusal); !slices.Contains(reasons, said) {
			reasons = append(reasons, said)
		}
	}
	return fmt.Sprintf("%d of %d recipients refused: %s", len(refusals), recipients, strings.Join(reasons, "; "))
}

// The enhanced code of RFC 3463 at the beginning of an answer, and nothing but digits.
var enhancedPattern = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}(?:\s|$)`)

// reply gives an answer's codes in our words.
func reply(answer *textproto.Error) string {
	codes := strconv.Itoa(answer.Code)
	enhanced := strings.TrimSpace(enhancedPattern.FindString(answer.Msg))
	if enhanced != "" && enhanced[0] == codes[0] {
		codes += " " + enhanced
	}
	said, known := words[answer.Code]
	switch {
	case known:
		return codes + " " + said
	case answer.Code/100 == 4:
		return codes + " not now"
	case answer.Code/100 == 5:
		return codes + " refused"
	default:
		return codes + " is no answer that belongs here"
	}
}

// inWords says what went wrong beside the answers, without the foreign text of an error where it may hold an address.
func inWords(ctx context.Context, err error) string {
	var nameError *net.DNSError
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var operation *net.OpError
	var notSMTP textproto.ProtocolError
	var timeout net.Error
	for _, own := range []error{errNoTLS, errClear, errNoLogin} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return "the attempt was given up"
	case errors.As(err, &nameError):
		return "the host's name does not resolve"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &certificate):
		return "the host's certificate is not trusted"
	case errors.As(err, &notTLS):
		return "the server does not speak TLS here"
	case errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error"): // alerts of crypto/tls
		return "the two sides do not agree on TLS"
	case errors.As(err, &notSMTP):
		return "the answer is not SMTP"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host can't be reached"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut before an answer came"
	default:
		return "no answer: the conversation could not be had"
	}
}
