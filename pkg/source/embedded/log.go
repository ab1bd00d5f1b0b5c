package embedded

import (
	"context"
	"log/slog"
	"runtime"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapHandler takes what Prometheus' packages log through log/slog to the daemon's logger.
type zapHandler struct {
	core   zapcore.Core
	fields []zap.Field
	prefix string // of attributes inside groups
}

func (h zapHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.core.Enabled(zapLevel(level))
}

func (h zapHandler) Handle(_ context.Context, record slog.Record) error {
	entry := zapcore.Entry{Level: zapLevel(record.Level), Time: record.Time, Message: record.Message, LoggerName: "prometheus"}
	if record.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{record.PC}).Next()
		entry.Caller = zapcore.NewEntryCaller(frame.PC, frame.File, frame.Line, true)
	}
	fields := append([]zap.Field{}, h.fields...)
	record.Attrs(func(attribute slog.Attr) bool {
		fields = append(fields, h.field(attribute))
		return true
	})
	if checked := h.core.Check(entry, nil); checked != nil {
		checked.Write(fields...)
	}
	return nil
}

func (h zapHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	h.fields = append([]zap.Field{}, h.fields...)
	for _, attribute := range attributes {
		h.fields = append(h.fields, h.field(attribute))
	}
	return h
}

func (h zapHandler) WithGroup(name string) slog.Handler {
	h.prefix += name + "."
	return h
}

func (h zapHandler) field(attribute slog.Attr) zap.Field {
	return zap.Any(h.prefix+attribute.Key, attribute.Value.Resolve().Any())
}

// zapLevel makes Prometheus' info our debug: what it says of its blocks and its WAL is of interest to us alone.
func zapLevel(level slog.Level) zapcore.Level {
	switch {
	case level >= slog.LevelError:
		return zapcore.ErrorLevel
	case level >= slog.LevelWarn:
		return zapcore.WarnLevel
	}
	return zapcore.DebugLevel
}
