#!/bin/bash
# needs: go
# A Go program, compiled inside: ten thousand goroutines, channels, timers, HTTP, the collector at
# work, preemption by signals, children. The load goes on until the standard input has answered.

set -e
dir=$(mktemp -d /tmp/stasis-go.XXXXXX)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export HOME=$dir GOCACHE=$dir/cache GOFLAGS=-mod=mod GO111MODULE=off CGO_ENABLED=0 GOTOOLCHAIN=local
cat >main.go <<'GO'
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const many = 10000

var stop int32

func stopped() bool { return atomic.LoadInt32(&stop) != 0 }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A chain of goroutines: what is put in at one end comes out of the other, increased by each.
func chain(n int) (chan int, chan int) {
	first := make(chan int)
	in := first
	for i := 0; i < n; i++ {
		out := make(chan int)
		go func(in, out chan int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	return first, in
}

// Runs without a call: only a signal takes the processor from it.
func spin(turns *int64) {
	for i := uint32(1); ; i = i*1664525 + 1013904223 {
		*turns++
		if i&0xfffff == 1 && stopped() {
			return
		}
	}
}

type tree struct {
	left, right *tree
	n           int
}

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{n: 1}
	}
	return &tree{grow(depth - 1), grow(depth - 1), depth}
}

func (t *tree) count() int {
	if t == nil {
		return 0
	}
	return 1 + t.left.count() + t.right.count()
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

func client(network, address string, seed int) int {
	c, err := net.Dial(network, address)
	must(err)
	defer c.Close()
	out, in := make([]byte, 3000), make([]byte, 3000)
	rounds := 0
	for ; rounds < 5 || !stopped(); rounds++ {
		for i := range out {
			out[i] = byte(i*seed + rounds)
		}
		_, err = c.Write(out)
		must(err)
		_, err = io.ReadFull(c, in)
		must(err)
		if !bytes.Equal(in, out) {
			panic("echo came back wrong")
		}
	}
	return rounds
}

func main() {
	var wait sync.WaitGroup
	var turns [2]int64
	var ticks, rounds, asleep int64
	work := func(f func()) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			f()
		}()
	}
	debug.SetGCPercent(20)
	in, out := chain(many)
	sums := make(chan int)
	go func() {
		sum := 0
		for v := range out {
			sum += v
		}
		sums <- sum
	}()
	sent := 0
	work(func() {
		for i := 0; i < 20 || !stopped(); i++ {
			in <- i
			sent += i + many
		}
		close(in)
	})
	for i := range turns {
		i := i
		work(func() { spin(&turns[i]) })
	}
	for i := 0; i < 1000; i++ {
		work(func() {
			for n := 0; n < 1 || !stopped(); n++ {
				time.Sleep(20 * time.Millisecond)
				atomic.AddInt64(&asleep, 1)
			}
		})
	}
	for i := 0; i < 3; i++ {
		work(func() {
			kept := grow(10)
			for n := 0; n < 20 || !stopped(); n++ {
				if grow(12).count() != 1<<13-1 || kept.count() != 1<<11-1 {
					panic("memory changed")
				}
			}
		})
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	unix, err := net.Listen("unix", "@stasis-go"+fmt.Sprint(os.Getpid()))
	must(err)
	go serve(tcp)
	go serve(unix)
	for i := 0; i < 20; i++ {
		l := []net.Listener{tcp, unix}[i%2]
		i := i
		work(func() {
			atomic.AddInt64(&rounds, int64(client(l.Addr().Network(), l.Addr().String(), i)))
		})
	}
	ticker := time.NewTicker(2 * time.Millisecond)
	go func() {
		for range ticker.C {
			atomic.AddInt64(&ticks, 1)
		}
	}()
	users := make(chan os.Signal, 100)
	signal.Notify(users, syscall.SIGUSR1)
	line := make([]byte, 1)
	for i := 0; i < 3; i++ {
		fmt.Println("@save@")
		os.Stdin.Read(line)
	}
	must(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println("signal", <-users)
	atomic.StoreInt32(&stop, 1)
	wait.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("chain", <-sums == sent, "rounds", rounds >= 100, "ticks", ticks > 0, "asleep", asleep > 0,
		"spun", turns[0] > 0, turns[1] > 0, "collected", stats.NumGC > 3)
	tcp.Close()
	unix.Close()

	cmd := exec.Command("sort", "-n")
	var text bytes.Buffer
	for i := 1000; i > 0; i-- {
		fmt.Fprintln(&text, i)
	}
	cmd.Stdin = &text
	sorted, err := cmd.Output()
	must(err)
	fmt.Printf("child %x\n", sha256.Sum256(sorted))
	defer func() {
		fmt.Println("recovered:", recover())
		names := []string{}
		files, err := os.ReadDir("/usr/lib/go")
		must(err)
		for _, f := range files {
			names = append(names, f.Name())
		}
		sort.Strings(names)
		fmt.Println(names)
	}()
	var none *tree
	none.n = 1
}
GO
go build -o program main.go
./program
