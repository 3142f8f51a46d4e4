// A yellow school bus on a street with trees. One unit is one metre;
// the bus points to -x, its left side is towards the camera (-z).
#version 3.7;
#include "studio.inc"

Studio_Camera(<-12.2, 2.0, -13.2>, <-0.75, 1.75, 0>, 34, 0)
Sun_Light(<-5, 6.5, -7>, 1.25)
Day_Sky(0.7)

#declare Paint =
  texture {
    pigment { Colour(250, 168, 4) }
    finish { diffuse 0.85 specular 0.3 roughness 0.02 reflection { 0.01, 0.18 fresnel } conserve_energy }
  }
#declare Black =
  texture {
    pigment { rgb 0.015 }
    finish { specular 0.2 roughness 0.05 }
  }
#declare Glass =
  texture {
    pigment { rgb <0.02, 0.025, 0.03> }
    finish { specular 0.6 roughness 0.005 reflection { 0.08, 0.7 fresnel } conserve_energy }
  }
#declare Steel =
  texture {
    pigment { rgb 0.45 }
    finish { specular 0.6 roughness 0.02 reflection 0.2 }
  }
#declare Gloss = interior { ior 1.5 }

// The body: an upright wall on both sides and a rounded roof.
#declare Half_Width = 1.22;
#declare Shell =
  prism {
    linear_spline
    0, 8.8,
    24,
    <-Half_Width, 0.62>,
    #for (I, 0, 20)
      #local A = pi * I / 20;
      <-Half_Width * pow(abs(cos(A)), 0.55) * (cos(A) >= 0 ? 1 : -1), 2.3 + 0.75 * pow(sin(A), 0.7)>,
    #end
    <Half_Width, 0.62>, <-Half_Width, 0.62>
    rotate x * -90    // upright, along z
    rotate y * -90    // along x
  }

// A window of the side wall: black rubber, glass, and a bar across.
#macro Side_Window(Wide)
  union {
    box { <0, 1.72, -0.012>, <Wide, 2.42, 0.1> texture { Black } }
    box { <0.04, 1.76, -0.02>, <Wide - 0.04, 2.38, 0.1> texture { Glass } }
    box { <0.03, 2.07, -0.026>, <Wide - 0.03, 2.10, 0.1> texture { Steel } }
    translate z * -Half_Width
  }
#end

#macro Rail(Y, High)
  box {
    <-3.1, Y, -Half_Width - 0.025>, <5.6, Y + High, Half_Width + 0.025>
    texture { Black }
  }
#end

#declare Wheel =
  union {
    difference {
      union {
        torus { 0.36, 0.15 rotate x * 90 scale <1, 1, 0.95> }
        cylinder { z * -0.13, z * 0.13, 0.42 }
      }
      cylinder { z * -0.3, z * -0.05, 0.27 }
      texture { Black }
    }
    difference {
      cylinder { z * -0.1, z * 0.1, 0.28 }
      sphere { z * -0.24, 0.24 }
      texture { Steel }
    }
    #for (I, 0, 7)
      sphere { <0.2, 0, -0.1>, 0.025 rotate z * I * 45 texture { Steel } }
    #end
    translate y * 0.51
  }

#declare Wheel_Arch =
  intersection {
    cylinder { z * -0.06, z * 0.8, 0.66 translate y * 0.55 }
    plane { -y, -0.55 }
    texture { Black }
  }

// The bonnet, with rounded edges, the grille and the lamps.
#declare Bonnet =
  union {
    superellipsoid {
      <0.25, 0.2>
      scale <1.1, 0.5, 1.02>
      translate <-4.0, 1.12, 0>
      texture { Paint }
      interior { Gloss }
    }
    box { <-5.13, 0.85, -0.55>, <-5, 1.4, 0.55> texture { Black } }
    #for (I, 0, 4)
      box { <-5.15, 0.9 + I * 0.1, -0.52>, <-5, 0.93 + I * 0.1, 0.52> texture { Steel } }
    #end
    #for (Side, -1, 1, 2)
      cylinder { <-5.15, 1.12, Side * 0.78>, <-5, 1.12, Side * 0.78>, 0.17 texture { Steel } }
      sphere {
        0, 0.14
        scale <0.4, 1, 1>
        translate <-5.14, 1.12, Side * 0.78>
        pigment { rgb 0.9 }
        finish { specular 0.8 roughness 0.01 reflection 0.2 }
      }
      sphere { 0, 0.08 scale <0.5, 1, 1> translate <-5.1, 1.36, Side * 0.78> pigment { Colour(255, 120, 0) } }
    #end
    box { <-5.35, 0.5, -1.22>, <-5.1, 0.78, 1.22> texture { Black } }
  }

// The windscreen, and the yellow cap with its lamps and letters above it.
#declare Letters_Left =
  text { ttf "cyrvetic.ttf" "SCHOOL BUS" 0.05, 0 scale <0.15, 0.19, 1> }
#declare Letters =
  object {
    Letters_Left
    translate x * -(min_extent(Letters_Left).x + max_extent(Letters_Left).x) / 2
    texture { Black }
  }
#declare Front =
  union {
    box { <-0.02, 1.62, -1.08>, <0.1, 2.5, 1.08> texture { Black } }
    box { <-0.03, 1.66, -1.04>, <0.1, 2.46, -0.02> texture { Glass } }
    box { <-0.03, 1.66, 0.02>, <0.1, 2.46, 1.04> texture { Glass } }
    #for (Side, -1, 1, 2)
      #for (I, 0, 1)
        cylinder {
          <-0.06, 2.72, Side * (0.68 + 0.23 * I)>, <0.1, 2.72, Side * (0.68 + 0.23 * I)>, 0.09
          pigment { #if (I) Colour(190, 20, 10) #else Colour(250, 130, 0) #end }
          finish { specular 0.6 roughness 0.02 }
        }
      #end
    #end
    object { Letters rotate y * 90 translate <-0.02, 2.66, 0> }
    translate x * -3.1
  }

#declare Mirror =
  union {
    cylinder { <-3.1, 2.2, -1.2>, <-3.5, 2.1, -1.55>, 0.02 }
    cylinder { <-3.1, 1.7, -1.2>, <-3.5, 1.75, -1.55>, 0.02 }
    box { <-3.54, 1.65, -1.68>, <-3.46, 2.15, -1.45> }
    texture { Black }
  }

#declare Stop_Sign =
  union {
    prism { linear_spline -0.01, 0.01, 9
      #for (I, 0, 8)
        , <cos((I + 0.5) * pi / 4), sin((I + 0.5) * pi / 4)> * 0.26
      #end
      rotate x * 90
      pigment { Colour(190, 20, 20) }
    }
    text {
      ttf "cyrvetic.ttf" "STOP" 0.03, 0
      scale <0.17, 0.2, 1>
      translate <-0.2, -0.07, -0.02>
      pigment { rgb 0.85 }
    }
  }

#declare School_Bus =
  union {
    object { Shell translate x * -3.1 texture { Paint } interior { Gloss } }
    #for (I, 0, 9)
      object { Side_Window(0.66) translate x * (-1.95 + I * 0.745) interior { Gloss } }
    #end
    object { Side_Window(0.8) translate x * -2.95 interior { Gloss } }
    Rail(1.56, 0.07)
    Rail(1.22, 0.07)
    Rail(0.82, 0.07)
    object { Bonnet }
    object { Front interior { Gloss } }
    object { Mirror }
    object { Mirror scale <1, 1, -1> }
    object { Stop_Sign translate <-2.3, 1.38, -Half_Width - 0.06> }
    #for (I, 0, 1)
      object { Wheel_Arch translate <-4.0 + 6.8 * I, 0, -1.2 + 0.16 * (1 - I)> }
      object { Wheel translate <-4.0 + 6.8 * I, 0, -1.12> }
      object { Wheel rotate y * 180 translate <-4.0 + 6.8 * I, 0, 1.12> }
    #end
    box { <-4.8, 0.45, -0.8>, <5.4, 0.7, 0.8> texture { Black } }
  }

object { School_Bus }

// The street: road, kerb, lawn, trees.
box { <-200, -1, -200>, <200, 0, 3.2> Asphalt() }
box { <-200, -1, 3.2>, <200, 0.16, 3.5> pigment { Colour(170, 168, 160) } normal { granite 0.1 } }
box { <-5000, -1, 3.5>, <5000, 0.12, 5000> Lawn(1) }
#declare Place = seed(11);
#for (I, 0, 15)
  object {
    Tree(I + 1)
    scale 1 + 0.4 * rand(Place)
    translate <-14 + I * 3.4 + rand(Place), 0, 11 + 7 * rand(Place)>
  }
#end
