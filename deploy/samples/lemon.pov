// Two lemons on a white plate.
#version 3.7;
#include "studio.inc"

Studio_Camera(<0, 2.9, -6.2>, <0, 0.8, 0>, 38, 0)
Window_Light(<-6, 9, -4>, 4, 0.9)
Window_Light(<8, 7, -6>, 5, 0.25)

#declare Skin =
  texture {
    pigment {
      bozo
      turbulence 0.3
      color_map { [0 Colour(240, 204, 20)] [1 Colour(255, 224, 50)] }
      scale 0.5
    }
    normal {
      average
      normal_map {
        [1 leopard 0.6 scale 0.013 turbulence 0.5]
        [1.4 dents 0.6 scale 0.09]
        [1 bumps 0.5 scale 0.25]
      }
    }
    finish { diffuse 0.85 specular 0.35 roughness 0.03 }
  }

// The outline of a lemon from tip to stalk, turned around y.
#declare Lemon =
  lathe {
    cubic_spline
    10,
    <-0.05, -1.42>, <0.00, -1.42>, <0.12, -1.38>, <0.26, -1.20>, <0.70, -0.80>,
    <0.94, 0.00>, <0.72, 0.78>, <0.28, 1.14>, <0.00, 1.20>, <-0.1, 1.20>
    texture { Skin }
  }

object { Lemon rotate z * 82 rotate y * 24 translate <-0.35, 1.0, 0.9> }
object { Lemon rotate z * -80 rotate y * -28 translate <0.4, 1.0, -0.9> }

// The plate.
lathe {
  cubic_spline
  9,
  <-0.5, 0.06>, <0.0, 0.06>, <1.8, 0.06>, <2.4, 0.2>, <3.0, 0.42>,
  <3.06, 0.40>, <2.4, 0.10>, <1.6, 0.0>, <0, 0>
  pigment { Colour(238, 238, 236) }
  finish { specular 0.4 roughness 0.01 reflection { 0.02, 0.3 fresnel } }
  interior { ior 1.5 }
}

Plank_Floor(1.6, Colour(150, 98, 58), Colour(104, 62, 34), 0.6)
Room(30, Colour(170, 160, 145))
