package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	bufferBytes   = 64 << 10 // against the usual 4 KiB it saves a fifth of the time
	maxTokenBytes = 1 << 20  // one string, number or label set; a longer one is no metric
	maxDepth      = 200      // nesting of values that nobody asked for
)

// scanner reads JSON (RFC 8259) out of a stream through one buffer, without building values.
// The first error stays, and from then on nothing is read: callers check err when it suits them.
// Bytes that it returns are valid until the next call.
type scanner struct {
	in       io.Reader // nil: buf is all there is
	buf      []byte
	pos      int   // the next byte is buf[pos]
	end      int   // of what has been read into buf
	base     int64 // offset in the stream of buf[0]
	held     int64 // offset from which on bytes must stay in buf; -1: none
	readErr  error // why no more can be read; io.EOF at the end
	err      error
	unquoted []byte // for strings with escapes
}

// reset makes the scanner read from in, with buf as its buffer.
func (s *scanner) reset(in io.Reader, buf []byte) {
	*s = scanner{in: in, buf: buf, held: -1, unquoted: s.unquoted[:0]}
	if in == nil {
		s.end = len(buf)
	}
}

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// fail records what is wrong and where, unless something was wrong before.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = &Error{Reason: Malformed, Detail: fmt.Sprintf("malformed answer: "+format, args...) + fmt.Sprintf(" at byte %d", s.offset())}
	}
}

// fill reads more into the buffer and reports whether there is more.
func (s *scanner) fill() bool {
	if s.err != nil || s.readErr != nil {
		return false
	}
	if s.in == nil {
		s.readErr = io.EOF
		return false
	}
	keep := s.pos
	if s.held >= 0 {
		keep = int(s.held - s.base)
	}
	if keep > 0 {
		copy(s.buf, s.buf[keep:s.end])
		s.base += int64(keep)
		s.pos -= keep
		s.end -= keep
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxTokenBytes {
			s.fail("a value longer than %d bytes", maxTokenBytes)
			return false
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	return s.read()
}

func (s *scanner) read() bool {
	for range 100 { // a reader may return nothing without an error, but not for ever
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		if err != nil {
			s.readErr = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	s.readErr = io.ErrNoProgress
	return false
}

// peek returns the next byte without consuming it; 0, which no JSON has outside of a string, where there is none.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	if s.pos < s.end || s.fill() {
		return s.buf[s.pos]
	}
	s.ended()
	return 0
}

// ended records that the document stops before its end.
func (s *scanner) ended() {
	if s.err != nil {
		return
	}
	if errors.Is(s.readErr, io.EOF) || errors.Is(s.readErr, io.ErrUnexpectedEOF) {
		s.fail("it ends in the middle,")
		return
	}
	s.err = s.readErr
}

// space skips white space and returns the byte after it, unconsumed.
func (s *scanner) space() byte {
	if s.pos < s.end && s.buf[s.pos] > ' ' && s.err == nil {
		return s.buf[s.pos]
	}
	for {
		switch c := s.peek(); c {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			return c
		}
	}
}

// expect consumes white space and then c.
func (s *scanner) expect(c byte) bool {
	if got := s.space(); got != c {
		s.fail("%q instead of %q", got, c)
		return false
	}
	s.pos++
	return true
}

// finish checks that nothing but white space follows.
func (s *scanner) finish() {
	for s.err == nil && (s.pos < s.end || s.fill()) {
		switch c := s.buf[s.pos]; c {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			s.fail("%q after its end", c)
		}
	}
	if s.err == nil && !errors.Is(s.readErr, io.EOF) {
		s.ended()
	}
}

// hasPrefix reports whether the next bytes are those of p, and does not consume them.
func (s *scanner) hasPrefix(p string) bool {
	for s.end-s.pos < len(p) {
		if !s.fill() {
			return false
		}
	}
	return string(s.buf[s.pos:s.pos+len(p)]) == p
}

// object reads an object and calls field after each key, to read the value.
func (s *scanner) object(field func(key []byte)) {
	if !s.expect('{') {
		return
	}
	if s.space() == '}' {
		s.pos++
		return
	}
	for s.err == nil {
		key := s.key()
		if s.err != nil {
			return
		}
		field(key)
		if s.after('}') {
			return
		}
	}
}

// key reads a key and the colon after it.
func (s *scanner) key() []byte {
	s.space()
	outer := s.held
	if outer < 0 {
		s.held = s.offset()
	}
	raw, escaped := s.string()
	end := s.offset() - 1
	start := end - int64(len(raw))
	s.expect(':') // may move the buffer, but not what is held
	s.held = outer
	if s.err != nil {
		return nil
	}
	return s.unquote(s.buf[start-s.base:end-s.base], escaped)
}

// array reads an array and calls element to read each of its values.
func (s *scanner) array(element func()) {
	if !s.expect('[') {
		return
	}
	if s.space() == ']' {
		s.pos++
		return
	}
	for s.err == nil {
		element()
		if s.after(']') {
			return
		}
	}
}

// after consumes what stands after a value, a comma or the end of its object or array, and reports whether it was the end.
func (s *scanner) after(end byte) bool {
	switch c := s.space(); c {
	case ',':
		s.pos++
		return false
	case end:
		s.pos++
		return true
	default:
		s.fail("%q instead of ',' or %q", c, end)
		return true
	}
}

// string reads a string and returns the bytes between its quotes, and whether there are escapes in them.
func (s *scanner) string() (raw []byte, escaped bool) {
	if !s.expect('"') {
		return nil, false
	}
	outer := s.held
	if outer < 0 {
		s.held = s.offset()
	}
	start := s.offset()
	for {
		s.plain()
		c := s.peek()
		if c == '"' || s.err != nil {
			break
		}
		if c != '\\' {
			s.fail("the control character %q in a string", c)
			break
		}
		escaped = true
		s.escape()
	}
	s.held = outer
	if s.err != nil {
		return nil, false
	}
	raw = s.buf[start-s.base : s.pos]
	s.pos++
	return raw, escaped
}

// plain consumes what of a string is in the buffer and stands for itself, and then looks for more.
func (s *scanner) plain() {
	for s.err == nil && (s.pos < s.end || s.fill()) {
		for i, c := range s.buf[s.pos:s.end] {
			if c < ' ' || c == '"' || c == '\\' {
				s.pos += i
				return
			}
		}
		s.pos = s.end
	}
}

// escape reads one escape sequence.
func (s *scanner) escape() {
	s.pos++
	c := s.peek()
	if bytes.IndexByte([]byte(`"\/bfnrtu`), c) < 0 {
		s.fail(`the escape \%c in a string`, c)
		return
	}
	s.pos++
	if c != 'u' {
		return
	}
	for range 4 {
		if c := s.peek(); hex(c) < 0 {
			s.fail(`%q in a \u escape`, c)
			return
		}
		s.pos++
	}
}

// unquote returns what the string's bytes stand for.
func (s *scanner) unquote(raw []byte, escaped bool) []byte {
	if !escaped {
		return raw
	}
	s.unquoted = appendUnquoted(s.unquoted[:0], raw)
	return s.unquoted
}

var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// appendUnquoted resolves the escapes in raw, which string has checked. Half a surrogate pair becomes U+FFFD.
func appendUnquoted(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		switch {
		case raw[i] != '\\':
			dst = append(dst, raw[i])
		case raw[i+1] != 'u':
			i++
			dst = append(dst, plainEscapes[raw[i]])
		default:
			r := hexRune(raw[i:])
			i += 5
			if utf16.IsSurrogate(r) {
				if pair := utf16.DecodeRune(r, hexRune(raw[i+1:])); pair != utf8.RuneError {
					r = pair
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// hexRune returns the code unit of the \uXXXX at the start of raw, -1 where there is none.
func hexRune(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	r := rune(0)
	for _, c := range raw[2:6] {
		r = r<<4 | hex(c)
	}
	return r
}

// hex returns the value of a hexadecimal digit, -1 for any other byte.
func hex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// number reads a number and returns its bytes.
func (s *scanner) number() []byte {
	s.space()
	outer := s.held
	if outer < 0 {
		s.held = s.offset()
	}
	start := s.offset()
	s.accept('-')
	if !s.accept('0') {
		s.digits()
	}
	if s.accept('.') {
		s.digits()
	}
	if s.accept('e') || s.accept('E') {
		_ = s.accept('+') || s.accept('-')
		s.digits()
	}
	s.held = outer
	if s.err != nil {
		return nil
	}
	return s.buf[start-s.base : s.pos]
}

// accept consumes c if it is next. The end of the input is no error here: a number may be the last thing in it.
func (s *scanner) accept(c byte) bool {
	if s.err == nil && (s.pos < s.end || s.fill()) && s.buf[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// digits consumes at least one digit.
func (s *scanner) digits() {
	start := s.offset()
	for s.err == nil && (s.pos < s.end || s.fill()) && '0' <= s.buf[s.pos] && s.buf[s.pos] <= '9' {
		s.pos++
	}
	if s.offset() == start {
		s.fail("%q instead of a digit", s.peek())
	}
}

// skip reads any value and forgets it.
func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail("values nested more than %d deep", maxDepth)
		return
	}
	switch c := s.space(); c {
	case '{':
		s.object(func([]byte) { s.skip(depth + 1) })
	case '[':
		s.array(func() { s.skip(depth + 1) })
	case '"':
		s.string()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// literal consumes true, false or null.
func (s *scanner) literal(word string) {
	s.space()
	if !s.hasPrefix(word) {
		if have := string(s.buf[s.pos:s.end]); s.readErr != nil && strings.HasPrefix(word, have) {
			s.ended()
		}
		s.fail("not %q", word)
		return
	}
	s.pos += len(word)
}

// null consumes null, if that is next, and reports whether it was.
func (s *scanner) null() bool {
	if s.space() != 'n' {
		return false
	}
	s.literal("null")
	return s.err == nil
}
