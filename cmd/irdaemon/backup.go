package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func backupCommand(settings *clientSettings) *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use: "backup FILE", Short: "Copy the daemon's store to a file while it runs",
		Long: paragraphs("Copy the daemon's embedded store to FILE, as it is at one moment, while the daemon runs. It needs the scope admin.",
			"FILE appears only once the copy is whole and on the disk, and only its owner can read it. To go back to it, stop the daemon and put it in the store's place."),
		Example: "  irdaemon backup irdaemon-$(date +%F).db\n  irdaemon backup --force /var/backups/irdaemon.db",
		Args:    arguments(cobra.ExactArgs(1), "one file"),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkBackupFile(args[0], force); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			api, err := settings.dialFor(0)
			if err != nil {
				return err
			}
			made := backupMade{File: args[0]}
			if made.Bytes, err = backupTo(ctx, api, args[0]); err != nil {
				return settings.advise(err)
			}
			return settings.print(command.OutOrStdout(), made, func() string {
				return fmt.Sprintf("%s holds the store: %s\n", plain(made.File), bytesText(made.Bytes))
			})
		},
	}
	command.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")
	return command
}

// backupMade is a backup, for JSON.
type backupMade struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// checkBackupFile refuses to write over what is there, and over a store in use whatever is said.
func checkBackupFile(file string, force bool) error {
	switch info, err := os.Lstat(file); {
	case err == nil && info.IsDir():
		return wrongUsage("%s is a folder; name a file in it", file)
	case err == nil && !force:
		return wrongUsage("%s is there already; another name, or --force to replace it", file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return wrongUsage("%w", err)
	}
	for _, beside := range []string{"-wal", "-shm"} {
		if _, err := os.Lstat(file + beside); err == nil {
			return wrongUsage("%s is a store in use: %s is beside it; another name", file, filepath.Base(file)+beside)
		}
	}
	return nil
}

// backupTo writes what the daemon sends beside file and, once it is whole and on the disk, gives it its name.
func backupTo(ctx context.Context, api *client.Client, file string) (size int64, err error) {
	written, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // readable by its owner alone
	if err != nil {
		return 0, wrongUsage("%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removed(written.Name()))
		}
	}()
	_, err = api.Backup(ctx, written)
	if err == nil {
		size, err = checkDatabase(written)
	}
	if err == nil {
		err = written.Sync()
	}
	if err = errors.Join(err, written.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(written.Name(), file); err != nil {
		return 0, err
	}
	return size, syncFolder(filepath.Dir(file))
}

// removed takes away what was not finished. The error says what is left behind.
func removed(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unfinished file left behind: %w", err)
	}
	return nil
}

// syncFolder makes a new name in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// The header of an SQLite database: https://www.sqlite.org/fileformat.html, section 1.3.
const (
	sqliteMagic      = "SQLite format 3\x00"
	sqliteHeaderSize = 100
)

// checkDatabase tells whether what came is a database of SQLite and whole: its header says how many pages it has, and how
// long they are. What it holds was checked by whoever copied it.
func checkDatabase(file io.ReaderAt) (size int64, err error) {
	header := make([]byte, sqliteHeaderSize)
	if _, err := file.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if string(header[:len(sqliteMagic)]) != sqliteMagic {
		return 0, errors.New("what the daemon sent is no database; nothing was kept")
	}
	page := int64(binary.BigEndian.Uint16(header[16:]))
	if page == 1 {
		page = 65536
	}
	size = page * int64(binary.BigEndian.Uint32(header[28:]))
	last := make([]byte, 2)
	if n, err := file.ReadAt(last, size-1); size < sqliteHeaderSize || n != 1 || !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("what the daemon sent is not whole: %d bytes were expected; nothing was kept", size)
	}
	return size, nil
}

// bytesText gives a size for people.
func bytesText(n int64) string {
	units := []string{"kB", "MB", "GB"}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	size := float64(n)
	for i, unit := range units {
		if size /= 1000; size < 1000 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
	}
	return ""
}
