package embedded

import (
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
)

// JobName is the job label of every series scraped here.
const JobName = "embedded"

// target is a metric page, as the labels by which Prometheus' scraper finds it.
type target = model.LabelSet

// parseTarget reads a target's URL. The error does not show it: there might be a password in it.
func parseTarget(address string) (target, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("embedded targets: not the address of a metric page; allowed is http://host:port/metrics, without user and password")
	}
	path := u.Path
	if path == "" {
		path = "/metrics"
	}
	t := target{
		model.AddressLabel:     model.LabelValue(u.Host),
		model.SchemeLabel:      model.LabelValue(u.Scheme),
		model.MetricsPathLabel: model.LabelValue(path),
	}
	for name, values := range u.Query() {
		if !model.LegacyValidation.IsValidLabelName(name) || len(values) != 1 {
			return nil, fmt.Errorf("embedded targets: %s: the parameter %q; allowed are letters, digits and _, each parameter once", u.Host, name)
		}
		t[model.LabelName(model.ParamLabelPrefix+name)] = model.LabelValue(values[0])
	}
	return t, nil
}

// targetGroups is what the scraper is told by service discovery: here, one list that never changes.
func targetGroups(targets []target) <-chan map[string][]*targetgroup.Group {
	groups := make(chan map[string][]*targetgroup.Group, 1)
	groups <- map[string][]*targetgroup.Group{JobName: {{Source: JobName, Targets: targets}}}
	return groups
}

// configure gives the scraper its one job. Timestamps and labels are handled as Prometheus does by default:
// a page's own timestamps count, its job and instance labels do not. The timeout is the interval, the most that is
// allowed: at 94 ms a scrape that needs 95 has failed.
func configure(manager *scrape.Manager, interval time.Duration) error {
	every := model.Duration(interval).String()
	cfg, err := config.Load(fmt.Sprintf(`{scrape_configs: [{job_name: %s, scrape_interval: %s, scrape_timeout: %s}]}`, JobName, every, every), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return manager.ApplyConfig(cfg)
}
