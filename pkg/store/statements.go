package store

// One set of statements for SQLite and PostgreSQL. Parameters are ?1 ?2, which PostgreSQL gets as $1 $2; nothing here
// is ordered by a text, for collations differ.
const (
	takeLead = `UPDATE leases SET holder=?1, epoch=epoch+1, taken_at=?2 WHERE id=1 RETURNING epoch`

	// A store with one process has a lease that never expires, so nobody reads when. It must become another: SQLite
	// leaves out a write of what stands there already, and a full disk would look well.
	touchLead = `UPDATE leases SET expires_at=expires_at+1 WHERE id=1`

	// The fences. They are writes, so that the row's lock decides races, and run before anything else. Whoever leads
	// names holder and epoch; people's writes need no lead, the version of the record protects them.
	leaderFence = `UPDATE leases SET pos=pos+1, walked_to=CASE WHEN ?1>walked_to THEN ?1 ELSE walked_to END
		WHERE id=1 AND holder=?2 AND epoch=?3 RETURNING pos`
	peopleFence = `UPDATE leases SET pos=pos+1 WHERE id=1 RETURNING pos`

	keepRunbook = `INSERT INTO runbooks(hash, body) VALUES(?1,?2) ON CONFLICT(hash) DO NOTHING`
	runbookKept = `SELECT COUNT(*) FROM runbooks WHERE hash=?1`
	runbookBody = `SELECT body FROM runbooks WHERE hash=?1`

	// Incidents and drills are numbered from 1 up, the daemon's own troubles from -1 down: people count incidents.
	insertIncident = `INSERT INTO incidents(id, number, runbook, runbook_hash, state, severity, opened_at, ended_at, updated_at, version, record, class)
		VALUES(?1, CASE WHEN ?11='self' THEN (SELECT COALESCE(MIN(number),0)-1 FROM incidents WHERE number<0)
			ELSE (SELECT COALESCE(MAX(number),0)+1 FROM incidents WHERE number>0) END,
			?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(id) DO NOTHING`
	updateIncident = `UPDATE incidents SET state=?1, severity=?2, ended_at=?3, updated_at=?4, version=?5, record=?6
		WHERE id=?7 AND version=?8`

	findingHolder = `SELECT incident FROM open_findings WHERE finding_key=?1`
	holdFinding   = `INSERT INTO open_findings(finding_key, incident) VALUES(?1,?2) ON CONFLICT(finding_key) DO NOTHING`
	freeFindings  = `DELETE FROM open_findings WHERE incident=?1`

	insertEvent = `INSERT INTO events(incident, seq, id, pos, at, recorded_at, kind, actor, body)
		VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT(id) DO NOTHING`
	eventHolder = `SELECT incident FROM events WHERE id=?1`

	insertDelivery = `INSERT INTO outbox(id, incident, receiver, seq, kind, dedup_key, payload, state, created_at, due_at, claimed_by, claimed_until, attempt, last_error)
		VALUES(?1,?2,?3,?4,?5,?6,?7,'due',?8,?9,'',0,0,'') ON CONFLICT(id) DO NOTHING`
	settleDelivery = `UPDATE outbox SET state=?1, sent_at=?2, last_error=?3 WHERE id=?4 AND state='due'`

	// Only the first row per incident and receiver that is not settled: a message never overtakes the one before it.
	// Notices stand beside that order: one may be due hours from now. And a call waits for no news, which are made at the
	// moment of sending anyway.
	dueDeliveries = `SELECT id, incident, receiver, seq, kind, dedup_key, payload, created_at, due_at, attempt FROM outbox o
		WHERE state='due' AND due_at<=?1 AND claimed_until<=?1
		AND (kind='notice' OR NOT EXISTS(SELECT 1 FROM outbox p WHERE p.incident=o.incident AND p.receiver=o.receiver
			AND p.seq<o.seq AND p.state='due' AND p.kind<>'notice' AND NOT (o.kind='page' AND p.kind='progress')))
		ORDER BY due_at LIMIT ?2`
	claimDelivery = `UPDATE outbox SET claimed_by=?1, claimed_until=?2, attempt=attempt+1
		WHERE id=?3 AND state='due' AND claimed_until<=?4 RETURNING attempt`
	retryDelivery = `UPDATE outbox SET due_at=?1, claimed_until=0, last_error=?2 WHERE id=?3 AND state='due' AND claimed_by=?4`
	freeClaims    = `UPDATE outbox SET claimed_until=0 WHERE state='due' AND claimed_until>0`
	outboxDepth   = `SELECT COUNT(*), COALESCE(MIN(created_at),0) FROM outbox WHERE state='due' AND (due_at<=?1 OR attempt>0)`
	pagesWaiting  = `SELECT COUNT(*), COALESCE(MIN(created_at),0) FROM outbox WHERE state='due' AND kind='page'
		AND dedup_key NOT LIKE 'irdaemon/%/self/undelivered/%'`
	pruneOutbox = `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE sent_at IS NOT NULL AND sent_at<?1 LIMIT ?2)`

	insertAnswer = `INSERT INTO idempotency(key, request_hash, status, response, expires_at) VALUES(?1,?2,?3,?4,?5)
		ON CONFLICT(key) DO UPDATE SET request_hash=excluded.request_hash, status=excluded.status, response=excluded.response,
		expires_at=excluded.expires_at WHERE idempotency.expires_at<=?6`
	answerHash   = `SELECT request_hash FROM idempotency WHERE key=?1`
	storedAnswer = `SELECT request_hash, status, response, expires_at FROM idempotency WHERE key=?1 AND expires_at>?2`
	pruneAnswers = `DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at<=?1 LIMIT ?2)`

	openVersions    = `SELECT id, version FROM incidents WHERE state IN ` + openStates
	incidentByID    = `SELECT number, record FROM incidents WHERE id=?1`
	incidentByCount = `SELECT number, record FROM incidents WHERE number=?1`
	endedIncidents  = `SELECT number, record FROM incidents WHERE ended_at>?1 AND class='' ORDER BY ended_at DESC`
	incidentEvents  = `SELECT id, seq, at, recorded_at, kind, actor, body FROM events WHERE incident=?1 AND seq>?2 ORDER BY seq`
	walkedTo        = `SELECT walked_to FROM leases WHERE id=1`
	newestPosition  = `SELECT pos FROM leases WHERE id=1`
	eventFeed       = `SELECT pos, incident, id, seq, at, recorded_at, kind, actor, body FROM events WHERE pos>?1 ORDER BY pos, incident, seq`

	silencesAfter = `SELECT body FROM silences WHERE until_at>?1`
	putSilence    = `INSERT INTO silences(id, until_at, body) VALUES(?1,?2,?3)
		ON CONFLICT(id) DO UPDATE SET until_at=excluded.until_at, body=excluded.body`
	changesAfter = `SELECT body FROM changes WHERE at>?1`
	putChange    = `INSERT INTO changes(id, at, body) VALUES(?1,?2,?3) ON CONFLICT(id) DO UPDATE SET at=excluded.at, body=excluded.body`

	makeKey  = `INSERT INTO keys(name, value) VALUES(?1,?2) ON CONFLICT(name) DO NOTHING`
	keyNamed = `SELECT value FROM keys WHERE name=?1`

	openStates = `('triggered','acknowledged','mitigating','verifying')`
)
