package slack

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Slack's limits in characters.
const (
	headerRunes = 150
	valueRunes  = 2000
	urlRunes    = 3000
	textRunes   = 2900 // a longer text can't be updated any more, from 4000 on
)

// block is a part of a message: a header, a rich text, a row of buttons, a small print.
//
// What comes from outside goes into plain text and into the texts of a rich text, where nothing is markup: a label can
// call nobody, link to nothing and end no formatting.
type block struct {
	Type     string     `json:"type"`
	Text     *plainText `json:"text,omitempty"`
	Elements []any      `json:"elements,omitempty"`
}

type plainText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji bool   `json:"emoji"` // false: :fire: stays what it is
}

// plain makes a text that Slack takes as it is, but for the three characters that must be escaped everywhere.
func plain(said string, limit int) *plainText {
	return &plainText{Type: "plain_text", Text: escape(oneLine(said, limit), limit)}
}

// richSection is a run of rich texts, or an item of a list.
type richSection struct {
	Type     string `json:"type"`
	Elements []any  `json:"elements"`
}

type richList struct {
	Type     string        `json:"type"`
	Style    string        `json:"style"`
	Elements []richSection `json:"elements"`
}

type richText struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	URL   string `json:"url,omitempty"` // of a link
	Style *style `json:"style,omitempty"`
}

type style struct {
	Bold bool `json:"bold"`
}

// button acts by its value, or leads to its URL.
type button struct {
	Type     string     `json:"type"`
	Text     *plainText `json:"text"`
	ActionID string     `json:"action_id"`
	Value    string     `json:"value,omitempty"`
	URL      string     `json:"url,omitempty"`
	Style    string     `json:"style,omitempty"`
}

func words(said string) richText { return richText{Type: "text", Text: said} }

func bold(said string) richText { return richText{Type: "text", Text: said, Style: &style{Bold: true}} }

func section(elements ...any) richSection {
	return richSection{Type: "rich_text_section", Elements: elements}
}

func header(said string) block {
	return block{Type: "header", Text: plain(said, headerRunes)}
}

// facts are lines, each with its label; those with nothing to say are left out.
type facts []any

func (f *facts) add(label, said string, limit int) {
	if said = oneLine(said, limit); said == "" {
		return
	}
	if len(*f) > 0 {
		*f = append(*f, words("\n"))
	}
	*f = append(*f, bold(label), words("  "+said))
}

func (f facts) blocks() []block {
	if len(f) == 0 {
		return nil
	}
	return []block{{Type: "rich_text", Elements: []any{section(f...)}}}
}

// list makes a titled list, in the style bullet or ordered, and says how many items it leaves out.
func list(title, style string, items []string, shown, limit int) []block {
	var sections []richSection
	for _, item := range items[:min(shown, len(items))] {
		if item = oneLine(item, limit); item != "" {
			sections = append(sections, section(words(item)))
		}
	}
	if len(sections) == 0 {
		return nil
	}
	return titled(title, style, sections, len(items)-shown)
}

func titled(title, style string, items []richSection, more int) []block {
	elements := []any{section(bold(title)), richList{Type: "rich_text_list", Style: style, Elements: items}}
	if more > 0 {
		elements = append(elements, section(words(andMore(more))))
	}
	return []block{{Type: "rich_text", Elements: elements}}
}

// small is the small print below a message.
func small(said string, limit int) block {
	return block{Type: "context", Elements: []any{plain(said, limit)}}
}

// oneLine keeps what can be seen of a text, in one line, cut to so many characters.
func oneLine(said string, limit int) string {
	seen := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return -1
		}
	}, said)
	return cut(strings.Join(strings.Fields(seen), " "), limit)
}

// cut shortens a text to so many characters.
func cut(said string, limit int) string {
	if utf8.RuneCountInString(said) <= limit {
		return said
	}
	return strings.TrimRight(string([]rune(said)[:limit-1]), " ") + "…"
}

var escapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;"}

// escape replaces the characters by which Slack's markup begins. The result has at most so many characters.
func escape(said string, limit int) string {
	var b strings.Builder
	length, left := 0, utf8.RuneCountInString(said)
	for _, r := range said {
		written := escapes[r]
		if written == "" {
			written = string(r)
		}
		// Room is kept for the mark of a cut, unless this is the end.
		length += utf8.RuneCountInString(written)
		if length > limit || (length == limit && left > 1) {
			b.WriteString("…")
			break
		}
		b.WriteString(written)
		left--
	}
	return b.String()
}

// address gives an address that can be a link, else nothing.
func address(link string) string {
	web := strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")
	if !web || utf8.RuneCountInString(link) > urlRunes || strings.ContainsFunc(link, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		return ""
	}
	return link
}
