package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// certify writes a certificate for 127.0.0.1 and its key into a folder.
func certify(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheListenerSpeaksTLSWithTheCertificateOfTheMoment(t *testing.T) {
	for _, protocol := range []string{"HTTP/2.0", "HTTP/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			dir := t.TempDir()
			settings := access.Settings{WebConfigFile: filepath.Join(dir, "web.yaml")}
			text := "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
			if protocol == "HTTP/1.1" {
				text += "http_server_config: {http2: false}\n"
			}
			write(t, settings.WebConfigFile, text)
			certify(t, dir, 1)
			a, err := access.Load(settings)
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.ErrorLevel)
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
			go func() { served <- web.Serve(ctx, listener, hello, func() *access.Access { return a }, zap.New(core)) }()
			ask := func() (serial int64, proto string) {
				client := &http.Client{Transport: &http.Transport{
					DisableKeepAlives: true, ForceAttemptHTTP2: true,
					TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // whose certificate it is, is what is looked at
				}}
				answer, err := client.Get("https://" + listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				body, _ := io.ReadAll(answer.Body)
				return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), string(body)
			}
			if serial, proto := ask(); serial != 1 || proto != protocol {
				t.Errorf("certificate %d, %s", serial, proto)
			}
			certify(t, dir, 2)
			if serial, _ := ask(); serial != 2 {
				t.Errorf("renewed: certificate %d", serial)
			}
			write(t, filepath.Join(dir, "key.pem"), "half")
			for range 2 {
				if serial, _ := ask(); serial != 2 {
					t.Errorf("half written: certificate %d", serial)
				}
			}
			if logs.Len() != 1 {
				t.Errorf("told %v", logs.All())
			}
			certify(t, dir, 3)
			if serial, _ := ask(); serial != 3 {
				t.Errorf("written whole: certificate %d", serial)
			}
			if answer, err := http.Get("http://" + listener.Addr().String()); err != nil || answer.StatusCode != 400 {
				t.Errorf("without TLS: %v, %v", answer, err)
			} else {
				answer.Body.Close()
			}
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACertificateThatCannotBeUsedIsToldAtTheStart(t *testing.T) {
	dir := t.TempDir()
	settings := access.Settings{WebConfigFile: filepath.Join(dir, "web.yaml")}
	write(t, settings.WebConfigFile, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
	certify(t, dir, 1)
	a, err := access.Load(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key.pem"), "half")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := web.Serve(t.Context(), listener, http.NotFoundHandler(), func() *access.Access { return a }, zap.NewNop()); err == nil {
		t.Error("served")
	}
}
