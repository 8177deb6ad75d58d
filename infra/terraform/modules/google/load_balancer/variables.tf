variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "domain" {
  type        = string
  description = "Name that people type."
}

variable "dns_zone" {
  type        = string
  description = "The environment's own zone."
}

variable "regions" {
  type = map(object({
    zones  = list(string)
    serves = bool
  }))
  description = "Regions, `first` and `second`: the zones in which GKE keeps endpoints, none until Argo CD has brought the platform, and whether they are sent requests."
}

variable "requests_per_address" {
  type        = number
  description = "Requests of one address in five minutes; those beyond are refused."
  default     = 10000
}
