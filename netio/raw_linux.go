package netio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the kernel that a loop makes again and again. None of them waits, so the runtime is not told: to leave and enter its
// scheduler costs as much as some of them do, and its monitor would take the processor away from a loop that is at work.

// rawReceive reads what has come at a socket into b, which is not empty.
func rawReceive(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

// rawSend writes b to a socket, as far as the kernel takes it.
func rawSend(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// rawPoll takes what is ready of an epoll descriptor.
func rawPoll(fd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// rawPieces is how many pieces rawWritev takes. More are seldom, and the cost is small beside theirs.
const rawPieces = 64

// rawWritev writes pieces, rawPieces at most, as far as the kernel takes them.
func rawWritev(fd int, pieces [][]byte) (int, syscall.Errno) {
	var vectors [rawPieces]unix.Iovec
	for i, piece := range pieces {
		vectors[i].Base = unsafe.SliceData(piece)
		vectors[i].SetLen(len(piece))
	}
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vectors)), uintptr(len(pieces)))
	return int(n), errno
}
