package incident

import "slices"

// deliveriesOf gives the outbox rows that the events cause. record is what they add up to.
func deliveriesOf(record *Record, events []Event, p Policy) []Delivery {
	var rows []Delivery
	for _, e := range events {
		switch body := e.Body.(type) {
		case Paged:
			rows = append(rows, pages(record, e, body)...)
		case Resolved:
			rows = append(rows, endings(record, e)...)
			rows = append(rows, notices(record, e, p)...)
		}
	}
	return rows
}

// pages calls each receiver of a step.
func pages(r *Record, e Event, paged Paged) []Delivery {
	var rows []Delivery
	for _, receiver := range paged.Receivers {
		row := delivery(r, e, receiver, DeliverPage)
		row.Round, row.Step, row.Key = paged.Round, paged.Step, paged.Key
		row.Causes, row.Severity, row.StartedAt = r.Round.Causes, paged.Severity, r.Round.StartedAt
		row.EndsKey = r.keyBefore(receiver, paged.Round)
		rows = append(rows, row)
	}
	return rows
}

// keyBefore is the key of the newest round before one that a receiver has, or may still get, and that nothing ended
// there; empty for none. A page that the receiver accepts ends it, so that a pager shows one open alert an incident.
func (r *Record) keyBefore(receiver string, round int) string {
	newest := Receipt{}
	for _, receipt := range slices.Concat(r.Pages, r.Awaited) {
		if receipt.Receiver == receiver && receipt.Round < round && !receipt.Ended && receipt.Round > newest.Round {
			newest = receipt
		}
	}
	return newest.Key
}

// endings tells everybody who accepted a page, or may still accept one, how the incident ended. There is a row for
// each key that is, or may yet be, open at a receiver; outcome.settlements drops those that turn out not to be.
func endings(r *Record, e Event) []Delivery {
	var rows []Delivery
	for _, receipt := range slices.Concat(r.Pages, r.Awaited) {
		known := slices.ContainsFunc(rows, func(row Delivery) bool {
			return row.Receiver == receipt.Receiver && row.Key == receipt.Key
		})
		if receipt.Ended || known {
			continue
		}
		row := delivery(r, e, receipt.Receiver, DeliverEnd, receipt.Key)
		row.Round, row.Key, row.Severity, row.StartedAt = receipt.Round, receipt.Key, receipt.Severity, receipt.StartedAt
		rows = append(rows, row)
	}
	return rows
}

// notices tells the owner of an incident that opened and ended before anybody was called, as one does that lies whole
// within a time in which the daemon was away.
func notices(r *Record, e Event, p Policy) []Delivery {
	if r.Round != nil || !p.Severities[r.Severity].Page {
		return nil
	}
	var rows []Delivery
	for _, role := range ladder(r, p)[0] {
		for _, receiver := range p.Roles[role].Page {
			known := slices.ContainsFunc(rows, func(row Delivery) bool { return row.Receiver == receiver })
			if !known {
				row := delivery(r, e, receiver, DeliverNotice)
				row.Severity = r.Severity
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// delivery is a row that the event causes. Its id is made from the event's, so that a repeat can't call twice.
func delivery(r *Record, e Event, receiver, kind string, more ...string) Delivery {
	return Delivery{
		ID:       hash(append([]string{e.ID, receiver, kind}, more...)...),
		Incident: r.ID, Receiver: receiver, Seq: e.Seq, Kind: kind, Due: e.RecordedAt,
	}
}
