package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/internal/demo"
	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/source/embedded"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

// backfilled is how much of the story's past is written before it begins.
const backfilled = 24 * time.Hour

// lookback is Prometheus' own: how long a series without a new sample is still seen.
const lookback = 5 * time.Minute

func demoCommand() *cobra.Command {
	var options demoOptions
	var scenario string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a whole incident in this terminal",
		Long: "Everything in one process: a simulated support bot, an embedded Prometheus that scrapes it, and the daemon with\n" +
			"a runbook for it. The story of 81 minutes plays in about two. It needs no network and no other program.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.responder != "auto" && options.responder != "manual" {
				return wrongUsage("--responder %q is not known; auto or manual", options.responder)
			}
			if scenario == "help" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(demo.ScenarioNames(), "\n"))
				return err
			}
			found, err := demo.FindScenario(scenario)
			if err != nil {
				return wrongUsage("--scenario: %w", err)
			}
			options.scenario, options.out = found, cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return playDemo(ctx, options)
		},
	}
	cmd.Flags().StringVar(&options.responder, "responder", "auto", "who acknowledges: auto (a scripted person) or manual (you)")
	cmd.Flags().BoolVar(&options.exit, "exit", false, "end when the incident is resolved; exit code 0 only if all went as expected")
	cmd.Flags().StringVar(&scenario, "scenario", "", "the story to play: "+strings.Join(demo.ScenarioNames(), ", "))
	cmd.Flags().StringVar(&options.logLevel, "log-level", "error", "what the daemon logs beside the story: debug, info, warn or error")
	return cmd
}

type demoOptions struct {
	scenario  demo.Scenario
	responder string
	exit      bool
	logLevel  string
	out       io.Writer
}

// stage is the running demo.
type stage struct {
	demoOptions
	clock   demo.Clock
	printer *demo.Printer
	source  *embedded.Embedded
	daemon  *daemon

	mu       sync.Mutex
	seen     []demo.Seen
	opened   chan string   // ids of incidents
	resolved chan struct{} // the first incident is over
	over     sync.Once
}

// playDemo plays the scenario until the incident is resolved, and afterwards until ctx ends, unless --exit ends it.
func playDemo(person context.Context, options demoOptions) error {
	folder, err := os.MkdirTemp("", "irdaemon-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, cancel := context.WithCancel(person)
	defer cancel()

	s := &stage{demoOptions: options, printer: demo.NewPrinter(options.out), opened: make(chan string, 16), resolved: make(chan struct{})}
	group, ctx := errgroup.WithContext(ctx)
	if err := s.set(ctx, group, folder); err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error { return s.source.Run(ctx) })
	group.Go(func() error { return s.daemon.run(ctx) })
	group.Go(func() error { return s.scenario.Tell(ctx, s.clock, s.tell) })
	group.Go(func() error { return s.report(ctx) })
	if options.responder == "auto" {
		group.Go(func() error { return s.respond(ctx) })
	}
	group.Go(func() error {
		defer cancel()
		return s.watch(ctx)
	})
	err = group.Wait()
	if person.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // a person ended it, whatever was being waited for
	}
	if err = errors.Join(err, s.source.Close()); err == nil && person.Err() != nil {
		return s.stopped()
	}
	return err
}

// stopped says that a person ended the demo. With --exit it was to end by itself.
func (s *stage) stopped() error {
	_, _ = fmt.Fprintln(s.out, "\nstopped")
	select {
	case <-s.resolved:
		return nil
	default:
	}
	if s.exit {
		return errors.New("stopped before the incident was resolved")
	}
	return nil
}

// set builds the stage: the bot, the pagers, the past, the daemon.
func (s *stage) set(ctx context.Context, group *errgroup.Group, folder string) error {
	c, err := s.config(folder)
	if err != nil {
		return err
	}
	s.clock = demo.NewClock(time.Now(), s.scenario.Start, demo.DefaultSpeed, c.Settings.Interval)
	bot := demo.NewBot(s.scenario, s.clock, time.Now)
	botAddress, err := serve(ctx, group, bot)
	if err != nil {
		return err
	}
	pagers, err := serve(ctx, group, s.pagers())
	if err != nil {
		return err
	}
	for name, r := range c.Settings.Receivers {
		r.Webhook.URL = "http://" + pagers + "/" + name
	}
	c.Settings.Embedded.Targets = []string{"http://" + botAddress + "/metrics"}
	timers := maps.Clone(c.Settings.Severities)
	c.Scale(demo.DefaultSpeed)
	if s.responder == "manual" {
		c.Settings.Severities = timers // people's timers run at their own speed
	}
	if err := s.openSource(ctx, c, bot, botAddress); err != nil {
		return err
	}
	log, err := newLog(s.logLevel, "console")
	if err != nil {
		return wrongUsage("%w", err)
	}
	s.daemon, err = newDaemon(ctx, daemonOptions{
		Config: c, Source: s.source, Log: log, OnEvents: s.happened,
		ImpactReach: s.clock.Scale(24 * time.Hour),
	})
	if err != nil {
		return errors.Join(err, s.source.Close())
	}
	s.introduce()
	return nil
}

// config lays the scenario's files out and reads them as any other.
func (s *stage) config(folder string) (*config.Config, error) {
	err := fs.WalkDir(s.scenario.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(folder, path), 0o700)
		}
		text, err := fs.ReadFile(s.scenario.Files, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, path), text, 0o600)
	})
	if err != nil {
		return nil, err
	}
	c, err := load(filepath.Join(folder, "irdaemon.yaml"))
	if err != nil {
		return nil, err
	}
	c.Settings.Web.Listen = freeAddress(c.Settings.Web.Listen)
	c.Settings.Web.ExternalURL = "http://" + c.Settings.Web.Listen
	return c, nil
}

// openSource opens the embedded Prometheus and writes the day before the story into it.
func (s *stage) openSource(ctx context.Context, c *config.Config, bot *demo.Bot, target string) error {
	var err error
	s.source, err = embedded.Open(embedded.Config{
		ScrapeInterval: c.Settings.Embedded.ScrapeInterval, Targets: c.Settings.Embedded.Targets,
		Path: c.Settings.Embedded.Path, Retention: c.Settings.Embedded.Retention,
		LookbackDelta: s.clock.Scale(lookback), Logger: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	from := s.clock.Real(s.scenario.Start.Add(-backfilled))
	past := bot.History(from, s.clock.RealStart, c.Settings.Embedded.ScrapeInterval,
		labels.FromStrings("job", embedded.JobName, "instance", target))
	if err := s.source.Backfill(ctx, past); err != nil {
		return errors.Join(fmt.Errorf("write the day before: %w", err), s.source.Close())
	}
	return nil
}

func (s *stage) introduce() {
	length := s.scenario.End.Sub(s.scenario.Start)
	_, _ = fmt.Fprintf(s.out, "%s. Played at %d times the speed (1:%d: every duration is divided by %d): %d minutes take about %d. The clock below is the story's, UTC.\n",
		s.scenario.Title, demo.DefaultSpeed, demo.DefaultSpeed, demo.DefaultSpeed, int(length.Minutes()), int(s.clock.Scale(length).Round(time.Minute).Minutes()))
	url := s.daemon.options.Config.Settings.Web.ExternalURL
	_, _ = fmt.Fprintf(s.out, "What is open: %s/    the API: %s/api/v1/incidents\n", url, url)
	if s.responder == "manual" {
		_, _ = fmt.Fprintln(s.out, "You are on call. When the pager rings, take the incident in another terminal:", s.ackCommand(1))
	}
	_, _ = fmt.Fprintln(s.out)
}

// ackCommand is how a person takes an incident of this demo, word for word.
func (s *stage) ackCommand(number int64) string {
	program := "irdaemon"
	if path, err := os.Executable(); err == nil && strings.Contains(path, "go-build") { // go run made it
		program = "go run ./cmd/irdaemon"
	}
	command := fmt.Sprintf("%s ack %d --by YOU", program, number)
	if url := s.daemon.options.Config.Settings.Web.ExternalURL; url != defaultURL {
		command += " --url " + url
	}
	return command
}

// tell prints what the bot and its operator do.
func (s *stage) tell(line demo.Line) { s.printer.Print(line.At, line.Word, line.Text) }

// happened prints what the daemon did, and keeps it for the comparison at the end.
func (s *stage) happened(r *incident.Record, events []incident.Event) {
	for _, e := range events {
		at := s.clock.Story(e.At)
		s.mu.Lock()
		s.seen = append(s.seen, demo.Seen{Event: e.Body.Kind(), At: at, Severity: string(r.Severity)})
		s.mu.Unlock()
		s.printer.Print(at, strings.ReplaceAll(e.Body.Kind(), "_", " "), demo.Describe(s.clock, r, e, s.responder == "manual"))
		switch e.Body.(type) {
		case incident.Opened:
			s.opened <- r.ID
		case incident.Resolved:
			s.over.Do(func() { close(s.resolved) })
		}
	}
}

// respond does what the scripted person does.
func (s *stage) respond(ctx context.Context) error {
	var id string
	select {
	case <-ctx.Done():
		return nil
	case id = <-s.opened:
	}
	api, err := s.client()
	if err != nil {
		return err
	}
	for _, act := range s.scenario.Responder.Acts {
		if err := s.clock.Wait(ctx, act.At); err != nil {
			return nil
		}
		if err := s.act(ctx, api, id, act); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s at %s: %w", s.scenario.Responder.Name, act.At.Format(time.TimeOnly), err)
		}
	}
	return nil
}

func (s *stage) client() (*client.Client, error) {
	return client.New(s.daemon.options.Config.Settings.Web.ExternalURL, &http.Client{Timeout: 10 * time.Second})
}

// act does one thing over the API, as a person's command would.
func (s *stage) act(ctx context.Context, api *client.Client, id string, act demo.Act) error {
	by := s.scenario.Responder.Name
	var err error
	switch {
	case act.Acknowledge:
		_, err = api.Acknowledge(ctx, id, by)
	case act.Update != "":
		next := ""
		if !act.Next.IsZero() {
			next = triggers.FormatDuration(time.Until(s.clock.Real(act.Next)).Round(time.Millisecond))
		}
		_, err = api.Update(ctx, id, by, incident.Internal, act.Update, next)
	case act.RolledBack != "":
		_, err = api.RollBack(ctx, id, client.Rollback{By: by, Step: act.RolledBack, ByHand: true})
	}
	return err
}

// report tells the daemon of the changes that a deploy pipeline would.
func (s *stage) report(ctx context.Context) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	for _, r := range s.scenario.Reports {
		if err := s.clock.Wait(ctx, r.At); err != nil {
			return nil
		}
		_, err := api.Report(ctx, changes.Change{
			Artifact: r.Artifact, Service: s.scenario.Service, From: r.From, To: r.To, At: s.clock.Real(r.At).UTC(), By: "deploy pipeline",
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("report the change of %s: %w", r.Artifact, err)
		}
	}
	return nil
}

// pagers answer for the people's pagers: they take every page and print it.
func (s *stage) pagers() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pager := strings.TrimPrefix(r.URL.Path, "/")
		var call struct {
			Type string
			Data struct{ Incident incident.View }
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		i := call.Data.Incident
		text := fmt.Sprintf("rings: #%d %s %s: %s", i.Number, i.Severity, i.Title, i.Impact)
		if s.responder == "manual" && call.Type == "incident.page" {
			text += "\ntake it: " + s.ackCommand(i.Number)
		}
		if call.Type != "incident.page" {
			text = fmt.Sprintf("told: #%d %s is %s", i.Number, i.Title, i.State)
		}
		s.printer.Print(s.clock.Story(time.Now()), pager, text)
		w.WriteHeader(http.StatusNoContent)
	})
}

// watch waits for the end: of the incident with --exit, else of ctx. A story that does not end well is an error.
func (s *stage) watch(ctx context.Context) error {
	late := time.NewTimer(time.Until(s.clock.Real(s.scenario.End)) + s.clock.Scale(10*time.Minute))
	defer late.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-late.C:
		if s.exit {
			return errors.Join(errors.New("the story is over, and the incident is not resolved"), s.compare())
		}
	case <-s.resolved:
	}
	// The receivers are told in the moments after the commit.
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(2 * time.Second):
	}
	err := s.compare()
	if s.exit {
		if err == nil {
			_, _ = fmt.Fprintln(s.out, "\nAll went as expected.")
		}
		return err
	}
	if err != nil {
		_, _ = fmt.Fprintf(s.out, "\nNot as expected: %v\n", err)
	}
	_, _ = fmt.Fprintln(s.out, "\nThe incident is over; the daemon runs on. Ctrl-C ends it.")
	<-ctx.Done()
	return nil
}

// compare holds what happened against the scenario; a person's own timing is not compared.
func (s *stage) compare() error {
	if s.responder == "manual" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.scenario.Expected.Check(s.seen)
}

// serve answers on a free port of loopback until ctx ends.
func serve(ctx context.Context, group *errgroup.Group, handler http.Handler) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return listener.Addr().String(), nil
}

// freeAddress is the wanted address, or another port where that one is taken.
func freeAddress(wanted string) string {
	for _, address := range []string{wanted, "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer func() { _ = listener.Close() }()
		return listener.Addr().String()
	}
	return wanted
}
