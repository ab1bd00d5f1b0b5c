package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/online"
)

func checkCommand() *cobra.Command {
	var format string
	var asked onlineFlags
	cmd := &cobra.Command{
		Use:   "check FILE|DIR…",
		Short: "Check settings, signals and runbooks",
		Long: "Loads settings, signal files and runbooks, and prints every error and warning.\n" +
			"Exit code 1 if there is an error.\n\n" +
			"With --online it also asks the metric source what each condition would have said in the time that just went by:\n" +
			"how often it would have held, whether a segment has events enough for it, and whether noise alone would break the\n" +
			"holds of recovery. Nothing is changed, and nobody is paged.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := checkFormats[format]
			if !ok {
				return wrongUsage("--format %q is not known; text, json or github", format)
			}
			if err := asked.check(); err != nil {
				return err
			}
			loaded, report := config.LoadFiles(args...)
			loaded.CheckDates(time.Now(), report)
			var found *online.Result
			var failed error
			if asked.online && report.Count(document.Error) == 0 {
				found, failed = asked.ask(cmd.Context(), loaded, report, time.Now().UTC(), cmd.ErrOrStderr())
			}
			report.Sort()
			if err := write(cmd.OutOrStdout(), loaded, report, found); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
			if n := report.Count(document.Error); n > 0 {
				return fmt.Errorf("%s", count(n, "error"))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "text", "text, json or github (annotations)")
	flags.BoolVar(&asked.online, "online", false, "ask the metric source what the conditions would have said")
	flags.StringVar(&asked.config, "config", "", "the settings file that names the source (default: the one among the files)")
	flags.StringVar(&asked.since, "since", "7d", "how far back the source is asked")
	return cmd
}

var checkFormats = map[string]func(io.Writer, *config.Config, *document.Report, *online.Result) error{
	"text": checkText, "json": checkJSON, "github": checkGitHub,
}

var levelWords = map[document.Level]string{
	document.Error: "error", document.Warning: "warning", document.Later: "later",
}

func checkText(w io.Writer, c *config.Config, report *document.Report, found *online.Result) error {
	var b strings.Builder
	for _, p := range report.Problems {
		fmt.Fprintf(&b, "%-7s %s\n", levelWords[p.Level], p)
	}
	if report.Count(document.Error) == 0 {
		fmt.Fprintf(&b, "ok: %s, %s", count(len(c.Runbooks), "runbook"), count(len(c.Signals), "signal"))
		if n := report.Count(document.Warning); n > 0 {
			fmt.Fprintf(&b, ", %s", count(n, "warning"))
		}
		if n := report.Count(document.Later); n > 0 {
			fmt.Fprintf(&b, "; run refuses them for %s of a later release", count(n, "key"))
		}
		b.WriteString("\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil || found == nil {
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	return found.WriteText(w)
}

func checkJSON(w io.Writer, c *config.Config, report *document.Report, found *online.Result) error {
	type problem struct {
		Level   string `json:"level"`
		File    string `json:"file"`
		Line    int    `json:"line,omitempty"`
		Column  int    `json:"column,omitempty"`
		Path    string `json:"path,omitempty"`
		What    string `json:"what"`
		Allowed string `json:"allowed,omitempty"`
	}
	problems := []problem{}
	for _, p := range report.Problems {
		problems = append(problems, problem{levelWords[p.Level], p.Place.File, p.Place.Line, p.Place.Col, p.Place.Path, p.What, p.Allowed})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	all := map[string]any{"problems": problems, "runbooks": len(c.Runbooks), "signals": len(c.Signals)}
	if found != nil {
		all["online"] = found
	}
	return encoder.Encode(all)
}

// checkGitHub writes workflow commands, which GitHub shows beside the lines.
func checkGitHub(w io.Writer, _ *config.Config, report *document.Report, _ *online.Result) error {
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace
	escapeProperty := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace
	for _, p := range report.Problems {
		word := levelWords[p.Level]
		if p.Level == document.Later {
			word = "notice"
		}
		text := p.What
		if p.Allowed != "" {
			text += "; " + p.Allowed
		}
		_, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", word,
			escapeProperty(p.Place.File), p.Place.Line, p.Place.Col, escapeProperty(p.Place.Path), escape(text))
		if err != nil {
			return err
		}
	}
	return nil
}

// count gives "1 error" and "2 errors".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
