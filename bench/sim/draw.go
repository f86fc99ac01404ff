package main

import (
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	mark "gonum.org/v1/plot/vg/draw"

	"github.com/thriftloom/thriftloom/sim"
)

// A contender and its colour: the product's in strong ones.
var drawn = []struct {
	sim.Contender
	color color.RGBA
}{
	{sim.TwoChoices, color.RGBA{0xb0, 0xb7, 0xc3, 0xff}},
	{sim.LeastRequest, color.RGBA{0x8a, 0x94, 0xa6, 0xff}},
	{sim.PeakEWMA, color.RGBA{0xe0, 0xa4, 0x58, 0xff}},
	{sim.PrequalCalls, color.RGBA{0xa5, 0x7f, 0xc0, 0xff}},
	{sim.Slots, color.RGBA{0x1b, 0x7f, 0x79, 0xff}},
	{sim.SharedSlots, color.RGBA{0x0b, 0x4f, 0x6c, 0xff}},
}

// draw makes the pictures: p99 by scenario, and what a replica that fails every call looks like, second by second.
func draw(dir string, t *sim.Table) error {
	if err := drawSuite(filepath.Join(dir, "p99.svg"), t); err != nil {
		return err
	}
	return drawSinkhole(filepath.Join(dir, "sinkhole.svg"))
}

func drawSuite(path string, t *sim.Table) error {
	p := plot.New()
	p.Title.Text = "p99 of a call, less is better"
	p.Y.Label.Text = "ms"
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Y.Min = 10
	var names []string
	for _, s := range t.Scenarios {
		names = append(names, short(s.Name))
	}
	p.NominalX(names...)
	p.X.Tick.Label.Rotation = 0.6
	p.X.Tick.Label.XAlign = -1
	for i, c := range drawn {
		var values plotter.Values
		for _, s := range t.Scenarios {
			values = append(values, 1000*sim.Mean(t.Cell(s, c.Contender), 0.99).Seconds())
		}
		points := make(plotter.XYs, len(values))
		for j, v := range values {
			points[j] = plotter.XY{X: float64(j) + 0.11*(float64(i)-float64(len(drawn)-1)/2), Y: v}
		}
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		dots.Color, dots.Radius, dots.Shape = c.color, vg.Points(4), mark.CircleGlyph{}
		p.Add(dots)
		p.Legend.Add(c.Name, dots)
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Points(3)
	p.Y.Min, p.Y.Max = 30, 2000
	p.Add(plotter.NewGrid())
	return p.Save(34*vg.Centimeter, 16*vg.Centimeter, path)
}

// drawSinkhole shows 1 of 5 replicas that ends every call without an answer for forty seconds.
func drawSinkhole(path string) error {
	p := plot.New()
	p.Title.Text = "1 of 5 replicas ends every call at once, for 40 s: calls that fail, of each second"
	p.X.Label.Text, p.Y.Label.Text = "seconds", "%"
	p.Add(plotter.NewGrid())
	for _, c := range append(drawn[:3:3], drawn[4]) {
		s := sim.Sinkhole(5, 4, false)
		o := sim.Run(&s, c.Contender, 1)
		var points plotter.XYs
		for at := 10; at < 75; at++ {
			_, _, calls, failed := o.In(at, at+1)
			points = append(points, plotter.XY{X: float64(at), Y: 100 * float64(failed) / float64(calls)})
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		line.Color, line.Width = c.color, vg.Points(2)
		p.Add(line)
		p.Legend.Add(c.Name, line)
	}
	p.Legend.Top, p.Legend.Padding = true, vg.Points(3)
	return p.Save(24*vg.Centimeter, 12*vg.Centimeter, path)
}
