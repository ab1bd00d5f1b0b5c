package main

import (
	"fmt"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
)

// acknowledgedText tells who has it now, who had it until then, and what to look at next.
func acknowledgedText(view incident.View, settings *clientSettings) string {
	said := fmt.Sprintf("%s has #%d now", view.AcknowledgedBy, view.Number)
	if before := holderBefore(view); before != nil {
		said += fmt.Sprintf("; %s had it since %s", before.Actor, incident.Clock(before.At, settings.now()))
	}
	return fmt.Sprintf("%s: %s\nirdaemon incidents show %d says what to check and what to roll back\n",
		text.Clean(said), text.Clean(view.Title), view.Number)
}

// holderBefore gives the acknowledgement of whoever had the incident until the present one took it; nil: nobody had.
func holderBefore(view incident.View) *incident.TimelineEntry {
	var before, now *incident.TimelineEntry
	for i := range view.Timeline {
		switch entry := &view.Timeline[i]; entry.Kind {
		case incident.Acknowledged{}.Kind():
			if now == nil || now.Actor != entry.Actor {
				before, now = now, entry
			}
		case incident.Unacknowledged{}.Kind():
			before, now = nil, nil
		}
	}
	if now == nil || now.Actor != view.AcknowledgedBy {
		return nil
	}
	return before
}
