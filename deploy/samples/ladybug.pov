// A ladybug on a green leaf.
#version 3.7;
#include "studio.inc"

Studio_Camera(<-3.0, 5.2, -4.6>, <-0.15, 0.45, 0>, 42, 0.14)
Sun_Light(<-5, 9, -3>, 1.1)
Window_Light(<6, 8, -6>, 4, 0.25)

#declare Gloss =
  finish { diffuse 0.85 specular 0.5 roughness 0.01 reflection { 0.02, 0.4 fresnel } conserve_energy }

#declare Red = texture { pigment { Colour(226, 60, 6) } finish { Gloss } }
#declare Black = texture { pigment { rgb 0.012 } finish { Gloss } }
#declare White = texture { pigment { rgb 0.8 } finish { Gloss } }

// The wing cases: a red dome with seven spots and the seam between the
// wings. The head is towards -x. Spot: the distance from a spot on the
// unit dome (both sides alike), less its size.
#declare Spot =
  function (x, y, z, A, B, Size) {
    sqrt((x - A) * (x - A) + (abs(z) - B) * (abs(z) - B)) - Size
  }
#declare Spots =
  function {
    min(
      Spot(x, y, z, -0.66, 0, 0.19),
      Spot(x, y, z, -0.22, 0.46, 0.2),
      Spot(x, y, z, 0.24, 0.3, 0.18),
      Spot(x, y, z, 0.52, 0.62, 0.17),
      abs(z) - 0.014)
  }
#declare Wings =
  intersection {
    sphere {
      0, 1
      texture {
        function { Spots(x, y, z) + 0.5 }
        texture_map { [0.5 Black] [0.51 Red] }
      }
      scale <1.15, 0.95, 0.98>
    }
    plane { -y, 0 texture { Black } }
  }

#declare Head =
  union {
    // The shield behind the head, with its white patches.
    sphere { 0, 0.5 scale <0.62, 0.7, 1.2> translate <-1.0, 0.12, 0> texture { Black } }
    sphere { 0, 0.35 scale <0.8, 0.8, 0.95> translate <-1.26, 0.1, 0> texture { Black } }
    #for (Side, -1, 1, 2)
      sphere { 0, 0.16 scale <0.8, 0.9, 1> translate <-1.15, 0.2, Side * 0.42> texture { White } }
      sphere { 0, 0.075 translate <-1.46, 0.2, Side * 0.17> texture { White } }
      sphere_sweep {
        cubic_spline 5,
        <-1.3, 0, Side * 0.1>, 0.025, <-1.46, 0.05, Side * 0.18>, 0.025, <-1.66, 0.12, Side * 0.3>, 0.02,
        <-1.8, 0.08, Side * 0.38>, 0.035, <-1.9, 0, Side * 0.4>, 0.03
        texture { Black }
      }
    #end
  }

#macro Leg(X, Lean)
  sphere_sweep {
    linear_spline 4,
    <X, 0.02, -0.6>, 0.06, <X + Lean * 0.4, 0.06, -1.0>, 0.05,
    <X + Lean * 0.7, -0.28, -1.15>, 0.035, <X + Lean, -0.3, -1.3>, 0.025
    texture { Black }
  }
#end

#declare Ladybug =
  union {
    object { Wings }
    object { Head }
    sphere { 0, 1 scale <1.05, 0.22, 0.85> texture { Black } }
    #for (Side, -1, 1, 2)
      union {
        Leg(-0.7, -0.4)
        Leg(0.0, 0.05)
        Leg(0.6, 0.4)
        scale <1, 1, Side>
      }
    #end
    interior { ior 1.5 }
  }

object { Ladybug rotate y * 20 translate y * 0.33 }

// The leaf: green and uneven, with a pale midrib and side veins.
#declare Veins =
  function { min(abs(z) * 1.6, abs(sin((x - abs(z) * 0.8) * 1.6)) * 0.8 + 0.1) }
#declare Blade =
  pigment {
    granite
    color_map { [0 Colour(100, 136, 36)] [0.5 Colour(124, 160, 54)] [1 Colour(158, 190, 82)] }
    scale 2.5
  }
plane {
  y, 0
  pigment {
    function { min(Veins(x, y, z) * 3, 1) }
    pigment_map { [0.0 Colour(186, 206, 120)] [0.5 Blade] }
    translate z * 1.6
    rotate y * 30
  }
  normal { granite 0.1 scale 0.8 }
  finish { diffuse 0.8 specular 0.25 roughness 0.04 }
}
sky_sphere { pigment { gradient y color_map { [0 Colour(120, 160, 90)] [0.5 Colour(200, 220, 235)] } } }
