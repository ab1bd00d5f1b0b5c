package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/access"
)

func tokenCommand() *cobra.Command {
	var scopes []string
	var expires, output string
	command := &cobra.Command{
		Use: "token NAME --scope SCOPE", Short: "Make an API token, and its entry for the tokens file",
		Long: paragraphs("Make an API token for somebody. It is printed once and kept nowhere: the entry for the daemon's tokens file holds its hash alone.",
			"Scopes: read sees everything; respond is for the on-call's commands and silences; change reports changes of artifacts; admin may do everything, test pages and backups too. respond and change hold read."),
		Example: "  irdaemon token alice --scope respond\n  irdaemon token ci --scope change --expires 2027-12-31",
		Args:    arguments(cobra.ExactArgs(1), "one name: who holds the token"),
		RunE: func(command *cobra.Command, args []string) error {
			made, err := makeToken(args[0], scopes, expires)
			switch {
			case err != nil:
				return err
			case output == "json":
				return json.NewEncoder(command.OutOrStdout()).Encode(made)
			case output != "text":
				return wrongUsage("--output %q is not known; text or json", output)
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), tokenText, made.Token, made.Entry)
			return err
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := command.Flags()
	flags.StringSliceVar(&scopes, "scope", nil, access.Scopes(access.AllScopes).String()+"; several by commas")
	flags.StringVar(&expires, "expires", "", "the first day on which it is refused, such as\n2027-12-31; default: never")
	flags.StringVarP(&output, "output", "o", "text", "text or json")
	placeholders(flags, map[string]string{"scope": "SCOPE", "expires": "DAY", "output": "FORMAT"})
	flags.Lookup("scope").DefValue = "" // else the help shows an empty list
	var names []string
	for _, scope := range access.AllScopes {
		names = append(names, string(scope))
	}
	complete(command, "scope", names...)
	complete(command, "output", "text", "json")
	_ = command.RegisterFlagCompletionFunc("expires", cobra.NoFileCompletions)
	return command
}

const tokenText = `The token, shown this once and kept nowhere. Its holder puts it into a file of
their own, for IRDAEMON_TOKEN_FILE or --token-file:

%s

Its entry for the daemon's tokens file (web.tokens_file), below tokens. It
holds the hash alone, and is in force after a reload:

%s`

// tokenMade is a token, for JSON.
type tokenMade struct {
	Token string `json:"token"`
	Entry string `json:"entry"`
}

func makeToken(name string, wanted []string, expires string) (tokenMade, error) {
	if !access.IsName(name) {
		return tokenMade{}, wrongUsage("%q is not a name; at most 100 characters, no control characters, no spaces around them", name)
	}
	scopes, err := readScopes(wanted)
	if err != nil {
		return tokenMade{}, err
	}
	token, hash := access.NewToken()
	entry := access.Entry(name, scopes, hash)
	if expires != "" {
		day, err := time.Parse(time.DateOnly, expires)
		if err != nil {
			return tokenMade{}, wrongUsage("--expires %q is not a day; one such as 2027-12-31", expires)
		}
		if !day.After(time.Now()) {
			return tokenMade{}, wrongUsage("--expires %s is past; a day to come", expires)
		}
		entry += "    expires: " + day.Format(time.DateOnly) + "\n"
	}
	return tokenMade{Token: token, Entry: entry}, nil
}

func readScopes(wanted []string) ([]access.Scope, error) {
	if len(wanted) == 0 {
		return nil, wrongUsage("--scope is missing: what may it do? %s", access.Scopes(access.AllScopes))
	}
	var scopes []access.Scope
	for _, word := range wanted {
		scope := access.Scope(strings.TrimSpace(word))
		if !slices.Contains(access.AllScopes, scope) {
			return nil, wrongUsage("--scope %q is not known; %s", word, access.Scopes(access.AllScopes))
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}
