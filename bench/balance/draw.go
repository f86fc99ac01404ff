package main

import (
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	mark "gonum.org/v1/plot/vg/draw"
)

// drawn are the contenders of the picture, the one below first.
var drawn = []struct {
	name, label string
	color       color.RGBA
}{
	{"HAProxy, leastconn", "HAProxy, leastconn", color.RGBA{0xd9, 0x82, 0x2b, 0xff}},
	{"slots", "Thriftloom", color.RGBA{0x1b, 0x7f, 0x79, 0xff}},
}

// draw shows each call of the first round while one worker is frozen: when it was due, and how long it took from then on.
func draw(path string, r results) error {
	p := plot.New()
	p.Title.Text = "One of four ThriftPy workers is frozen from 1.5 s to 5 s: every call of 64 callers, by when it was due"
	p.X.Label.Text, p.Y.Label.Text = "seconds", "its time, ms"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	for _, d := range drawn {
		rounds := r[[2]string{frozen, d.name}]
		if len(rounds) == 0 {
			continue
		}
		points := make(plotter.XYs, 0, len(rounds[0]))
		for _, c := range rounds[0] {
			if c.failed {
				c.took = patience
			}
			points = append(points, plotter.XY{X: c.at.Seconds(), Y: max(0.5, 1000*c.took.Seconds())})
		}
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		dots.Color, dots.Radius, dots.Shape = d.color, vg.Points(1.8), mark.CircleGlyph{}
		p.Add(dots)
		p.Legend.Add(d.label, dots)
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = true, true, vg.Points(3), vg.Points(8), -vg.Points(12)
	p.Title.Padding = vg.Points(6)
	p.X.Tick.Marker = plot.ConstantTicks(seconds())
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, length.Seconds(), 0.5, 10_000
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return p.Save(26*vg.Centimeter, 11*vg.Centimeter, path)
}

// seconds are the marks of the time axis.
func seconds() (marks []plot.Tick) {
	for i := range int(length/time.Second) + 1 {
		marks = append(marks, plot.Tick{Value: float64(i), Label: strconv.Itoa(i)})
	}
	return marks
}
