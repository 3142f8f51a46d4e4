// Oranges on a wooden table: whole ones and a half.
#version 3.7;
#include "studio.inc"

Studio_Camera(<0.1, 2.5, -6.4>, <0.15, 0.85, 0>, 35, 0.1)
Window_Light(<-6, 9, -4>, 4, 0.95)
Window_Light(<8, 7, -6>, 5, 0.25)

// The skin: bright, with small pores and a few larger dents.
#declare Skin =
  texture {
    pigment {
      bozo
      turbulence 0.3
      color_map { [0 Colour(240, 128, 6)] [1 Colour(255, 152, 20)] }
      scale 0.6
    }
    normal {
      average
      normal_map {
        [1 leopard 0.7 scale 0.014 turbulence 0.5]
        [1 dents 0.5 scale 0.09]
        [0.6 bumps 0.3 scale 0.25]
      }
    }
    finish { diffuse 0.85 specular 0.35 roughness 0.035 }
  }

// The green button where the stalk was.
#declare Button =
  union {
    #for (I, 0, 4)
      sphere {
        0, 1
        scale <0.1, 0.025, 0.04>
        translate x * 0.06
        rotate <0, I * 72, 0>
      }
    #end
    cylinder { 0, y * 0.05, 0.03 }
    pigment { Colour(88, 104, 44) }
  }

#declare Orange =
  union {
    sphere { 0, 1 scale <1, 0.95, 1> texture { Skin } }
    object { Button translate y * 0.945 }
  }

// A half, cut side up to +y: skin, white rind, and ten wedges.
#declare Wedges =
  pigment {
    radial
    frequency 10
    color_map {
      [0.00 Colour(255, 214, 130)] [0.05 Colour(255, 200, 96)]
      [0.09 Colour(250, 150, 20)] [0.50 Colour(255, 168, 36)]
      [0.91 Colour(248, 146, 18)] [0.95 Colour(255, 200, 96)]
      [1.00 Colour(255, 214, 130)]
    }
  }

#declare Cut =
  texture {
    pigment {
      cylindrical
      pigment_map {
        [0.00 Colour(250, 150, 16)] [0.04 Colour(252, 168, 30)]
        [0.05 Colour(255, 232, 176)] [0.11 Colour(255, 226, 160)]
        [0.13 Wedges] [0.92 Wedges] [0.95 Colour(255, 230, 170)]
      }
    }
    normal { granite 0.15 scale <0.5, 0.5, 0.5> }
    finish { diffuse 0.85 specular 0.5 roughness 0.02 }
  }

#declare Half =
  intersection {
    sphere { 0, 1 texture { Skin } }
    plane { y, 0 texture { Cut } }
  }

object { Orange rotate <-24, 0, -14> translate <-0.75, 0.96, 0.5> }
object { Orange rotate <10, 60, 30> translate <1.15, 0.96, 1.0> }
object { Half rotate x * -68 rotate y * -16 translate <0.62, 0.93, -1.05> }

// The table, and a dark room behind it.
Plank_Floor(1.6, Colour(150, 98, 58), Colour(104, 62, 34), 0.6)
Room(30, Colour(170, 160, 145))
