// A lighthouse with red bands on a rock by the sea.
#version 3.7;
#include "studio.inc"

Studio_Camera(<1, 2.2, -17>, <0, 4.3, 0>, 40, 0)
Sun_Light(<-6, 5, -5>, 1.2)
Day_Sky(0.6)

#declare White =
  texture {
    pigment { bozo color_map { [0 rgb 0.72] [1 rgb 0.86] } scale <0.2, 2, 0.2> }
    normal { granite 0.06 }
  }
#declare Red =
  texture {
    pigment { bozo color_map { [0 Colour(170, 30, 24)] [1 Colour(196, 44, 34)] } scale <0.2, 2, 0.2> }
    normal { granite 0.06 }
  }
#declare Dark =
  texture { pigment { rgb 0.03 } finish { specular 0.2 roughness 0.05 } }

// The tower: a cone with bands, small windows, a gallery and a lantern.
#declare Tower =
  union {
    difference {
      cone {
        0, 1.25, y * 6, 0.78
        texture {
          gradient y
          texture_map { [0.5 White] [0.5 Red] }
          scale 3
          translate y * -0.2
        }
      }
      #for (I, 0, 2)
        box { <-0.15, 0.9 + I * 1.8, -3>, <0.15, 1.4 + I * 1.8, -0.6> rotate y * (18 - I * 20) texture { Dark } }
      #end
    }
    cone { y * 5.8, 0.78, y * 6.1, 1.1 texture { White } }
    cylinder { y * 6.1, y * 6.2, 1.15 texture { Dark } }
    // The railing.
    #for (I, 0, 19)
      cylinder { <1.08, 6.2, 0>, <1.08, 6.65, 0>, 0.022 rotate y * I * 18 texture { Dark } }
    #end
    torus { 1.08, 0.03 translate y * 6.65 texture { Dark } }
    torus { 1.08, 0.02 translate y * 6.42 texture { Dark } }
    // The lantern: panes between black bars, the lamp, the roof.
    cylinder { y * 6.2, y * 6.5, 0.66 texture { Red } }
    cylinder {
      y * 6.5, y * 7.4, 0.58
      pigment { rgb <0.25, 0.3, 0.33> }
      finish { specular 0.6 roughness 0.01 reflection 0.35 }
    }
    #for (I, 0, 7)
      cylinder { <0.6, 6.5, 0>, <0.6, 7.4, 0>, 0.035 rotate y * I * 45 texture { Dark } }
    #end
    cone { y * 7.4, 0.75, y * 7.95, 0.12 texture { Red } }
    sphere { y * 8.02, 0.16 texture { Red } }
    cylinder { y * 8, y * 8.6, 0.02 texture { Dark } }
  }

#declare Stone =
  texture {
    pigment {
      granite
      turbulence 0.3
      color_map { [0 Colour(92, 82, 72)] [0.5 Colour(132, 120, 104)] [1 Colour(172, 160, 142)] }
    }
    normal { granite 0.7 scale 1.5 }
  }

// The rock: boulders piled up under the tower.
#declare Rock =
  union {
    #local Seed = seed(5);
    #for (I, 1, 120)
      #local A = 2 * pi * rand(Seed);
      #local D = 5.5 * sqrt(rand(Seed));
      superellipsoid {
        <0.5, 0.5>
        scale <0.7, 0.5, 0.7> * (0.6 + 0.7 * rand(Seed))
        rotate <rand(Seed), rand(Seed), rand(Seed)> * 90
        translate <D * cos(A) * 1.3, 0.35 - 0.05 * D * D, D * sin(A)>
      }
    #end
    sphere { 0, 1 scale <6, 1.3, 4.5> translate y * -0.6 }
    texture { Stone }
    translate y * 0.1
  }

// The keeper's cottage.
#declare Cottage =
  union {
    box { <-1, 0, -0.7>, <1, 1.0, 0.7> texture { White } }
    prism {
      linear_spline -1.1, 1.1, 4,
      <-0.85, 0.95>, <0, 1.7>, <0.85, 0.95>, <-0.85, 0.95>
      rotate <-90, 0, 0> rotate y * 90
      texture { Red }
    }
    box { <-0.6, 0.35, -0.72>, <-0.25, 0.75, -0.6> texture { Dark } }
    box { <0.25, 0, -0.72>, <0.6, 0.75, -0.6> texture { Dark } }
  }

object { Tower translate y * 0.4 }
object { Cottage translate <2.4, 0.55, 0.2> }
object { Rock }

// The sea.
plane {
  y, -0.9
  pigment { Colour(24, 62, 92) }
  normal {
    average
    normal_map { [1 bumps 0.35 scale <2, 1, 0.8>] [1 granite 0.1 scale 4] }
  }
  finish { diffuse 0.6 specular 0.3 roughness 0.02 reflection { 0.03, 0.8 fresnel } conserve_energy }
  interior { ior 1.33 }
}
