package pagerduty

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// routingKey is what PagerDuty takes for one.
var routingKey = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// routingKeys are those of the file, the newest first; there is at least one.
type routingKeys []string

// readRoutingKeys reads the file. Its errors never say what it holds.
func readRoutingKeys(file string) (routingKeys, error) {
	words, err := readLines(file)
	if err != nil {
		return nil, fmt.Errorf("read the routing key: %w", err)
	}
	var keys routingKeys
	for i, word := range words {
		if !routingKey.MatchString(word) {
			return nil, fmt.Errorf("read the routing key: %s must hold keys of 32 letters and digits, one a line, the newest first; key %d of %d is none (length %d)",
				file, i+1, len(words), len(word))
		}
		if !slices.Contains(keys, word) {
			keys = append(keys, word)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read the routing key: %s is empty; it must hold a key of 32 letters and digits", file)
	}
	return keys, nil
}

// readLines gives the lines of a file of secrets, without those that are blank.
func readLines(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (k routingKeys) newest() string { return k[0] }

// find gives the key that a receipt speaks of, if the file still holds it.
func (k routingKeys) find(receipt string) (string, bool) {
	i := slices.IndexFunc(k, func(key string) bool { return fingerprint(key) == receipt })
	if i < 0 {
		return "", false
	}
	return k[i], true
}

// shownBy tells whether a text gives a key away, were it only a good part of it.
func (k routingKeys) shownBy(text string) bool {
	const part = 8
	text = strings.ToLower(text)
	for _, key := range k {
		key = strings.ToLower(key)
		for i := range len(key) - part + 1 {
			if strings.Contains(text, key[i:i+part]) {
				return true
			}
		}
	}
	return false
}

// fingerprint names a routing key without giving it away.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])[:12]
}
