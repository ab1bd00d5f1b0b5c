package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// errSecret says nothing of what the file holds.
var errSecret = errors.New("the file must hold whsec_ followed by base64, or several of them separated by white space")

// decodeSecrets reads the secrets of a file, in their order.
func decodeSecrets(content string) ([][]byte, error) {
	var secrets [][]byte
	for word := range strings.FieldsSeq(content) {
		encoded, found := strings.CutPrefix(word, "whsec_")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !found || err != nil || len(secret) == 0 {
			return nil, errSecret
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errSecret
	}
	return secrets, nil
}

// signature is the webhook-signature header: v1 and the HMAC-SHA256 of id, time and body, for each secret.
func signature(secrets [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}
