// SPDX-License-Identifier: BSD-2-Clause

// A host whose run time signals its threads all the time: goroutines without calls are preempted by
// SIGURG, and a profile sends SIGPROF to each thread that has CPU time, inside C, too.
package main

/*
#include <stdlib.h>
#include "best.h"
*/
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const size = 4096

var sink atomic.Uint64

func burn() {
	for x := uint64(1); ; {
		for i := 0; i < 1<<30; i++ {
			x = x*6364136223846793005 + 1
		}
		sink.Store(x)
	}
}

func main() {
	signals := make(chan os.Signal, 1)
	turns, _ := strconv.Atoi(os.Args[1])
	text := (*C.char)(C.malloc(size))
	var seen atomic.Uint64

	signal.Notify(signals, syscall.SIGURG)
	go func() {
		for range signals {
			seen.Add(1)
		}
	}()
	for i := 0; i < 2*runtime.GOMAXPROCS(0); i++ {
		go burn()
	}
	go func() { // each of them stops the world
		for {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}()
	runtime.SetCPUProfileRate(1000)
	for turn := 0; turn < turns || seen.Load() == 0; turn++ {
		C.best(text, size)
		fmt.Print(C.GoString(text))
	}
	fmt.Println("preempted by SIGURG:", seen.Load() > 0)
	C.free(unsafe.Pointer(text))
}
