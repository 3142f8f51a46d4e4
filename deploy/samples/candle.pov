// Three burning candles in the dark.
#version 3.7;
#include "studio.inc"

Studio_Camera(<0, 3.0, -8>, <0, 1.3, 0>, 32, 0.1)
Window_Light(<-7, 8, -8>, 4, 0.06)

// The flame, the colour of its light, and the wax lit from inside.
#declare Flame_Light = <1, 0.62, 0.28>;

#macro Wax(Height)
  texture {
    pigment { Colour(246, 226, 190) }
    finish {
      diffuse 0.7 specular 0.25 roughness 0.05
    }
  }
  texture {
    pigment {
      gradient y
      color_map { [0 rgb 0 transmit 1] [0.45 rgb 0 transmit 1] [1 rgbt <1, 0.5, 0.16, 0.3>] }
      scale Height * 1.001
    }
    finish { diffuse 0.3 emission 0.75 }
  }
#end

#declare Flame =
  union {
    lathe {
      cubic_spline
      7,
      <-0.1, -0.02>, <0.00, 0.0>, <0.08, 0.08>, <0.105, 0.2>, <0.05, 0.42>, <0.0, 0.62>, <-0.03, 0.8>
      pigment {
        gradient y
        color_map {
          [0.0 rgbt <0.2, 0.35, 1.0, 0.6>] [0.2 rgbt <1, 0.7, 0.3, 0.2>]
          [0.45 rgbt <1, 0.9, 0.6, 0>] [1.0 rgbt <1, 0.66, 0.2, 0.2>]
        }
        scale 0.62
      }
      finish { diffuse 0 emission 2.2 }
      no_shadow
      no_radiosity
    }
    sphere_sweep {
      linear_spline 3, <0, -0.15, 0>, 0.02, <0, 0.02, 0>, 0.018, <0.03, 0.12, 0>, 0.014
      pigment { rgb 0.02 }
      no_shadow
    }
  }

// Foot at the origin; the top is a shallow bowl of molten wax.
#macro Candle(Radius, Height)
  union {
    difference {
      union {
        cylinder { 0, y * (Height - 0.06), Radius }
        torus { Radius - 0.06, 0.06 translate y * (Height - 0.06) }
        cylinder { 0, y * Height, Radius - 0.06 }
      }
      sphere { 0, 1 scale <Radius * 0.85, 0.12, Radius * 0.85> translate y * Height }
      Wax(Height)
    }
    object { Flame translate y * (Height + 0.06) }
    light_source {
      y * (Height + 0.4)
      rgb Flame_Light * 0.9
      area_light x * 0.15, y * 0.4, 3, 3
      adaptive 1 jitter
      fade_distance 2.2 fade_power 2
    }
  }
#end

object { Candle(0.55, 2.2) translate <-0.2, 0, 0> }
object { Candle(0.5, 1.4) translate <0.95, 0, -0.7> }
object { Candle(0.45, 1.0) translate <-1.2, 0, -0.8> }

Plank_Floor(1.6, Colour(130, 82, 48), Colour(90, 52, 28), 0.8)
Room(14, Colour(70, 46, 34))
