// A blue teapot on a table.
#version 3.7;
#include "studio.inc"

Studio_Camera(<0.3, 2.4, -7>, <0.1, 1.05, 0>, 36, 0)
Window_Light(<-6, 9, -5>, 4, 0.95)
Window_Light(<8, 7, -6>, 5, 0.25)

#declare Glaze =
  texture {
    pigment { bozo color_map { [0 Colour(226, 224, 214)] [1 Colour(238, 236, 228)] } }
    finish { diffuse 0.8 specular 0.6 roughness 0.006 reflection { 0.02, 0.5 fresnel } conserve_energy }
  }
#declare Blue =
  texture {
    pigment { Colour(34, 66, 140) }
    finish { diffuse 0.8 specular 0.6 roughness 0.006 reflection { 0.02, 0.5 fresnel } conserve_energy }
  }

#declare Belly =
  lathe {
    cubic_spline
    9,
    <0.3, 0.00>, <0.62, 0.00>, <0.66, 0.08>, <1.02, 0.42>, <1.2, 0.9>,
    <1.0, 1.42>, <0.62, 1.68>, <0.58, 1.74>, <0.5, 1.8>
  }

#declare Lid =
  union {
    lathe {
      cubic_spline
      8,
      <0.8, 1.6>, <0.64, 1.72>, <0.6, 1.78>, <0.36, 1.93>, <0.13, 2.0>,
      <0.09, 2.06>, <0.00, 2.08>, <-0.1, 2.08>
    }
    sphere { 0, 0.16 scale <1, 0.85, 1> translate y * 2.16 }
  }

#declare Spout =
  difference {
    sphere_sweep {
      cubic_spline
      6,
      <0.5, 0.4, 0>, 0.3, <0.8, 0.58, 0>, 0.3, <1.25, 0.78, 0>, 0.22,
      <1.55, 1.2, 0>, 0.15, <1.85, 1.62, 0>, 0.12, <2.1, 1.8, 0>, 0.1
    }
    plane { -y, -1.66 }
  }

#declare Handle =
  sphere_sweep {
    cubic_spline
    8,
    <-0.5, 1.1, 0>, 0.1, <-0.92, 1.35, 0>, 0.1, <-1.4, 1.56, 0>, 0.1, <-1.8, 1.3, 0>, 0.1,
    <-1.75, 0.85, 0>, 0.1, <-1.4, 0.52, 0>, 0.1, <-0.98, 0.45, 0>, 0.1, <-0.6, 0.4, 0>, 0.1
  }

#declare Teapot =
  union {
    object { Belly }
    object { Lid }
    object { Spout }
    object { Handle }
    texture { Blue }
    interior { ior 1.5 }
  }

object { Teapot rotate y * -16 }

// A cup on its saucer.
#declare Cup =
  union {
    lathe {
      cubic_spline
      11,
      <0, 0.05>, <0.26, 0.05>, <0.3, 0.12>, <0.52, 0.36>, <0.6, 0.72>, <0.61, 0.74>,
      <0.58, 0.74>, <0.49, 0.38>, <0.28, 0.16>, <0.0, 0.14>, <-0.1, 0.14>
    }
    torus { 0.2, 0.045 rotate x * 90 translate <0.7, 0.42, 0> }
    lathe {
      cubic_spline
      7,
      <-0.2, 0.03>, <0, 0.03>, <0.5, 0.04>, <0.95, 0.16>, <0.96, 0.13>, <0.5, 0>, <0.3, 0>
    }
    texture { Glaze }
    interior { ior 1.5 }
  }

object { Cup rotate y * -30 translate <1.5, 0, 1.9> }

Plank_Floor(1.6, Colour(176, 124, 76), Colour(126, 80, 46), 0.5)
Room(30, Colour(190, 182, 165))
