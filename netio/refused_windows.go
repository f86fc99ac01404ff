package netio

import "golang.org/x/sys/windows"

// errRefused is what a connect gets where nobody listens.
const errRefused = windows.WSAECONNREFUSED
