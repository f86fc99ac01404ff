package handover

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link carries messages with descriptors. It is used by one goroutine at a time, but for close.
//
//	frame   magic:2="th"  kind:1  files:1  meta:4  data:4  JSON:meta  bytes:data      (big-endian; the descriptors come with the magic)
type link struct {
	conn *net.UnixConn
	pid  int // of the peer's process as the kernel says; zero where it is in a namespace that is not seen here
	once sync.Once
}

const frameHead = 12

var magic = [2]byte{'t', 'h'}

// message is one frame.
type message struct {
	kind  kind
	meta  any // to be sent
	json  []byte
	data  []byte
	files []File
}

// newLink makes a link of a connection whose peer has this process's user id.
func newLink(conn *net.UnixConn) (*link, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	ctl := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(ctl, err); err != nil {
		return nil, fmt.Errorf("handover: who is there: %w", err)
	}
	if int(peer.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("handover: the other process runs as user %d, this one as %d", peer.Uid, os.Geteuid())
	}
	return &link{conn: conn, pid: int(peer.Pid)}, nil
}

func (l *link) close() { l.once.Do(func() { _ = l.conn.Close() }) }

// bound ends what is under way after d, or when ctx does.
func (l *link) bound(ctx context.Context, d time.Duration) (done func()) {
	_ = l.conn.SetDeadline(time.Now().Add(d)) // fails on a closed socket only
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// send writes one message. It keeps nothing of it.
func (l *link) send(ctx context.Context, m message) error {
	defer l.bound(ctx, stepTime)()
	meta, err := json.Marshal(m.meta)
	if err != nil {
		return fmt.Errorf("handover: %s: %w", m.kind, err)
	}
	if len(meta) > maxMeta || len(m.data) > maxData || len(m.files) > maxFiles {
		return fmt.Errorf("handover: %s is too long: %d and %d bytes, %d files", m.kind, len(meta), len(m.data), len(m.files))
	}
	head := append(magic[:], byte(m.kind), byte(len(m.files)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(meta)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(m.data)))
	if err := l.sendHead(head, m.files, nil); err != nil {
		return fmt.Errorf("handover: send %s: %w", m.kind, err)
	}
	for _, b := range [][]byte{meta, m.data} {
		if len(b) == 0 {
			continue // a peer that has all it waits for may have gone
		}
		if _, err := l.conn.Write(b); err != nil {
			return fmt.Errorf("handover: send %s: %w", m.kind, err)
		}
	}
	return nil
}

// sendHead writes head with the descriptors of files, which are held open meanwhile.
func (l *link) sendHead(head []byte, files []File, fds []int) error {
	if len(files) > 0 {
		raw, err := files[0].SyscallConn()
		if err != nil {
			return err
		}
		ctl := raw.Control(func(fd uintptr) { err = l.sendHead(head, files[1:], append(fds, int(fd))) })
		return errors.Join(ctl, err)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := l.conn.WriteMsgUnix(head, rights, nil)
	if err == nil && n < len(head) {
		err = io.ErrShortWrite
	}
	return err
}

// receive reads one message of the wanted kinds within limit. Its files are the caller's.
func (l *link) receive(ctx context.Context, limit time.Duration, want ...kind) (m message, err error) {
	defer l.bound(ctx, limit)()
	defer func() {
		if err != nil {
			closeFiles(m.files)
			if _, no := err.(*RefusedError); !no {
				err = fmt.Errorf("handover: wait for %s: %w", want[0], err)
			}
			m = message{}
		}
	}()
	head := make([]byte, frameHead)
	if m.files, err = l.receiveHead(head); err != nil {
		return m, err
	}
	m.kind = kind(head[2])
	files, meta, data := int(head[3]), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	switch {
	case [2]byte(head) != magic:
		return m, errors.New("the other side does not speak this protocol")
	case meta > maxMeta || data > maxData:
		return m, fmt.Errorf("a message of %d and %d bytes is too long", meta, data)
	case files != len(m.files):
		return m, fmt.Errorf("%s came with %d descriptors of %d", m.kind, len(m.files), files)
	}
	m.json = make([]byte, meta)
	if _, err = io.ReadFull(l.conn, m.json); err != nil {
		return m, err
	}
	var rest bytes.Buffer // grows with what really comes
	if _, err = io.CopyN(&rest, l.conn, int64(data)); err != nil {
		return m, err
	}
	m.data = rest.Bytes()
	for _, k := range want {
		if k == m.kind {
			return m, nil
		}
	}
	if m.kind == refused {
		var r RefusedError
		_ = json.Unmarshal(m.json, &r) // at worst without a text
		return m, &r
	}
	return m, fmt.Errorf("%s came", m.kind)
}

// receiveHead reads the fixed part of a frame and its descriptors.
func (l *link) receiveHead(head []byte) (files []File, err error) {
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, size, flags, _, err := l.conn.ReadMsgUnix(head, rights)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	files, err = received(rights[:size])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errors.New("more descriptors came than a message may have")
	}
	if err == nil && n < len(head) {
		_, err = io.ReadFull(l.conn, head[n:])
	}
	return files, err
}

// received makes files of the descriptors in a control message.
func received(rights []byte) (files []File, err error) {
	all, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			_ = unix.SetNonblock(fd, true) // so that the poller takes it
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, nil
}

// ended reports whether the peer's process has ended, waiting a little for that.
func (l *link) ended() bool {
	if l.pid == 0 {
		return true // no way to tell: it has closed its end, or will
	}
	fd, err := unix.PidfdOpen(l.pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer func() { _ = unix.Close(fd) }()
	for until := time.Now().Add(endWait); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(until), 0).Milliseconds()))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func closeFiles(files []File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// decode fills v from the message's JSON and checks how many descriptors came.
func (m *message) decode(v any, files int) error {
	err := json.Unmarshal(m.json, v)
	if err == nil && len(m.files) != files {
		err = fmt.Errorf("%d descriptors, want %d", len(m.files), files)
	}
	if err != nil {
		closeFiles(m.files)
		return fmt.Errorf("handover: %s: %w", m.kind, err)
	}
	return nil
}

var _ syscall.Conn = (*os.File)(nil)
