// A basketball on the floor of a gym.
#version 3.7;
#include "studio.inc"

Studio_Camera(<0.2, 1.9, -6.2>, <0, 0.98, 0>, 29, 0.12)
Window_Light(<-7, 10, -6>, 4, 0.85)
Window_Light(<8, 9, 3>, 5, 0.35)

// How far a point of the unit ball is from the nearest seam.
#declare Seam =
  function { min(abs(x), abs(y), abs(abs(x) - 0.52 - 0.36 * y * y)) }

#declare Leather =
  texture {
    pigment {
      bozo
      color_map { [0 Colour(180, 58, 16)] [1 Colour(206, 76, 22)] }
      scale 0.4
    }
    // The pebbles.
    normal { crackle 0.7 scale 0.042 }
    finish { diffuse 0.8 specular 0.22 roughness 0.06 }
  }

#declare Rubber =
  texture {
    pigment { rgb 0.012 }
    finish { diffuse 0.7 specular 0.15 roughness 0.05 }
  }

#declare Ball =
  sphere {
    0, 1
    texture {
      function { Seam(x, y, z) }
      texture_map { [0.022 Rubber] [0.028 Leather] }
    }
  }

object { Ball rotate <18, 0, 34> rotate y * 14 translate y }

// The gym: floor, a painted line, the wall behind.
Plank_Floor(0.5, Colour(226, 196, 150), Colour(206, 166, 114), 0.5)

box {
  <-50, 0, 5>, <50, 0.002, 5.5>
  pigment { rgb 0.8 }
}

plane {
  -z, -16
  pigment {
    gradient y
    color_map { [0.35 Colour(64, 74, 98)] [0.36 Colour(196, 188, 172)] }
    scale 8
  }
}
Room(40, rgb 0.75)
