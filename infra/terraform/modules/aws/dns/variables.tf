variable "zone_id" {
  type        = string
  description = "The environment's own zone."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "origins" {
  type = map(object({
    dns_name = string
    zone_id  = string
  }))
  description = "Load balancers: `first`, and `second` where there is one."
}

variable "distribution" {
  type = object({
    dns_name = string
    zone_id  = string
  })
  description = "The CDN that answers for the name."
}
