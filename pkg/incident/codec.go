package incident

import (
	"encoding/json"
	"fmt"
)

// EncodeBody gives an event's body as the JSON in which it is stored. An Unknown body gives back what it was read
// from.
func EncodeBody(body Body) ([]byte, error) {
	if unknown, ok := body.(Unknown); ok {
		return unknown.Raw, nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", body.Kind(), err)
	}
	return raw, nil
}

// DecodeBody reads what EncodeBody wrote. A kind that this release does not know gives an Unknown, so that the events
// of a later release survive a step back.
func DecodeBody(kind string, raw []byte) (Body, error) {
	decode, ok := decoders[kind]
	if !ok {
		return Unknown{Name: kind, Raw: append(json.RawMessage(nil), raw...)}, nil
	}
	body, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return body, nil
}

// EncodeRecord gives the record as the JSON in which it is stored: without its number and its snapshots, which the
// store keeps beside it.
func EncodeRecord(r *Record) ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode incident %s: %w", r.ID, err)
	}
	return raw, nil
}

// DecodeRecord reads what EncodeRecord wrote.
func DecodeRecord(raw []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("decode incident: %w", err)
	}
	return r, nil
}

// decoders has an entry for every body in event.go; a test holds it complete.
var decoders = map[string]func(raw []byte) (Body, error){
	Opened{}.Kind():           decodeAs[Opened],
	BreachJoined{}.Kind():     decodeAs[BreachJoined],
	TriggerCleared{}.Kind():   decodeAs[TriggerCleared],
	Relapsed{}.Kind():         decodeAs[Relapsed],
	SeverityRaised{}.Kind():   decodeAs[SeverityRaised],
	HoldStarted{}.Kind():      decodeAs[HoldStarted],
	HoldBroken{}.Kind():       decodeAs[HoldBroken],
	Resolved{}.Kind():         decodeAs[Resolved],
	WentBlind{}.Kind():        decodeAs[WentBlind],
	SightBack{}.Kind():        decodeAs[SightBack],
	Unverified{}.Kind():       decodeAs[Unverified],
	Paged{}.Kind():            decodeAs[Paged],
	PageDelivered{}.Kind():    decodeAs[PageDelivered],
	PageFailed{}.Kind():       decodeAs[PageFailed],
	Acknowledged{}.Kind():     decodeAs[Acknowledged],
	Unacknowledged{}.Kind():   decodeAs[Unacknowledged],
	Noted{}.Kind():            decodeAs[Noted],
	GapNoted{}.Kind():         decodeAs[GapNoted],
	FindingJoined{}.Kind():    decodeAs[FindingJoined],
	Reopened{}.Kind():         decodeAs[Reopened],
	SeveritySet{}.Kind():      decodeAs[SeveritySet],
	PinExpired{}.Kind():       decodeAs[PinExpired],
	PageHeld{}.Kind():         decodeAs[PageHeld],
	TriageAnswered{}.Kind():   decodeAs[TriageAnswered],
	UpdatePosted{}.Kind():     decodeAs[UpdatePosted],
	UpdateOverdue{}.Kind():    decodeAs[UpdateOverdue],
	Dismissed{}.Kind():        decodeAs[Dismissed],
	PostmortemSaved{}.Kind():  decodeAs[PostmortemSaved],
	Closed{}.Kind():           decodeAs[Closed],
	EvidenceGathered{}.Kind(): decodeAs[EvidenceGathered],
	ChangeSeen{}.Kind():       decodeAs[ChangeSeen],
	ActionRequested{}.Kind():  decodeAs[ActionRequested],
	ActionApproved{}.Kind():   decodeAs[ActionApproved],
	ActionStarted{}.Kind():    decodeAs[ActionStarted],
	ActionDone{}.Kind():       decodeAs[ActionDone],
	ActionEffective{}.Kind():  decodeAs[ActionEffective],
	ActionFailed{}.Kind():     decodeAs[ActionFailed],
	EffectMeasured{}.Kind():   decodeAs[EffectMeasured],
	SuspectsRanked{}.Kind():   decodeAs[SuspectsRanked],
	Mitigated{}.Kind():        decodeAs[Mitigated],
}

func decodeAs[T Body](raw []byte) (Body, error) {
	var body T
	err := json.Unmarshal(raw, &body)
	return body, err
}
