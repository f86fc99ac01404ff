package process

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Replicas end with the gateway even where it is killed and can do nothing about it; those that another gateway could adopt too.
func TestReplicasEndWithTheirGateway(t *testing.T) {
	replicasEndWithTheirGateway(t)
	t.Run("adopt", func(t *testing.T) { replicasEndWithTheirGateway(t, "adopt") })
}

func replicasEndWithTheirGateway(t *testing.T, more ...string) {
	cmd := exec.Command(os.Args[0], append([]string{short(t)}, more...)...)
	cmd.Env = append(os.Environ(), childKind+"=gateway")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, end, _, err := dial(ctx, strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	_ = cmd.Process.Kill()
	ended(t, end)
	_ = cmd.Wait()
}
