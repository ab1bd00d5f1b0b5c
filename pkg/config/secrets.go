package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// Secret is a text that is never printed: every way of formatting or encoding it gives <secret>.
type Secret string

const hidden = "<secret>"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return hidden }

// MarshalText hides the secret from JSON, YAML and logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Reveal gives the secret itself, to be put into a request and nowhere else.
func (s Secret) Reveal() string { return string(s) }

// ReadSecret reads a secret's file, blanks and line breaks around it taken off. It is read anew whenever it is
// needed, so that a rotated secret helps at once. An empty file is an error.
func ReadSecret(path string) (Secret, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return Secret(secret), nil
}

// files resolves the paths that a settings file names.
type files struct{ dir string }

// path gives a path that is relative to the settings file's folder as the process can open it.
func (f files) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, name)
}

// secret reads the path of a secret's file, and notes where there is none.
func (s *settingsReader) secret(into *string) func(document.Value) {
	return func(v document.Value) {
		name, ok := v.Text()
		if !ok {
			return
		}
		*into = s.files.path(name)
		info, err := os.Stat(*into)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.Report().MissingSecret(v.Place(), "there is no file "+*into, "run needs it; paths are relative to the settings file")
		case err != nil:
			v.Report().MissingSecret(v.Place(), "the file "+*into+" cannot be read", "run needs it")
		case info.IsDir() || info.Size() == 0:
			v.Report().MissingSecret(v.Place(), "the file "+*into+" holds nothing", "run needs it")
		}
	}
}
